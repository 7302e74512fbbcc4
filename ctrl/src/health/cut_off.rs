use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Backends that our packets do not reach, with the reason. Probes go through the host's own stack,
/// which may get there all the same. Control writes, the probing thread reads.
#[derive(Debug, Default)]
pub struct CutOff(Mutex<HashMap<IpAddr, String>>);

impl CutOff {
    /// These, and no others.
    pub fn set(&self, backends: HashMap<IpAddr, String>) {
        *self.backends() = backends;
    }

    /// Why this one is not reached; `None` when nothing is known against it.
    pub fn why(&self, backend: IpAddr) -> Option<String> {
        self.backends().get(&backend).cloned()
    }

    fn backends(&self) -> MutexGuard<'_, HashMap<IpAddr, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
