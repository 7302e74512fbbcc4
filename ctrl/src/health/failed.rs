use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Target;
use crate::desired::{BackendSettings, Service};

/// Backends whose check fails now, by address: of most services none is here, and that is found
/// out by one look for each backend.
#[derive(Debug, Clone, Default)]
pub struct Failed {
    by_address: HashMap<IpAddr, Vec<Arc<Target>>>,
}

impl Failed {
    /// Whether none fails.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Whether `backend` of `service` fails the service's check.
    #[must_use]
    pub fn fails(&self, service: &Service, backend: &BackendSettings) -> bool {
        let (Some(check), Some(here)) =
            (&service.health, self.by_address.get(&backend.address.value))
        else {
            return false;
        };
        let port = check.port_of(service, backend);
        here.iter().any(|target| target.port == port && target.probe == check.probe)
    }
}

impl FromIterator<Arc<Target>> for Failed {
    fn from_iter<I: IntoIterator<Item = Arc<Target>>>(iter: I) -> Self {
        let mut failed = Self::default();
        for target in iter {
            failed.by_address.entry(target.address).or_default().push(target);
        }
        failed
    }
}
