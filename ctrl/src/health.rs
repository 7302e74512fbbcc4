//! Whether backends answer. A thread of its own probes them through the host's own stack, writes
//! into a book that control reads, and tells control when a standing changes.

/// From outcomes to a standing.
pub mod state;
/// What is probed, and what came of it.
pub mod book;
/// Backends that our packets do not reach.
mod cut_off;
/// Which backends fail, as the overlay asks.
mod failed;
/// One probe.
mod probe;
/// A TCP connection.
mod tcp;
/// An HTTP request.
mod http;
/// Echo requests.
mod icmp;
/// The thread: one task for each target.
mod prober;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::addr::L4Port;

use crate::desired::health::Probe;
use crate::desired::{BackendSettings, Desired, Service};

pub use failed::Failed;
pub use prober::Prober;

/// Something that is probed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// The port that is asked, host order; `None` when the probe needs none.
    pub port: Option<L4Port>,
    /// What is asked, and how often.
    pub probe: Probe,
}

impl Target {
    /// What is probed for `backend` of `service`; `None` when it is not checked.
    #[must_use]
    pub fn of(service: &Service, backend: &BackendSettings) -> Option<Self> {
        let check = service.health.as_ref()?;
        let port = check.port_of(service, backend);
        if port.is_none() && check.probe.kind.needs_port() {
            return None;
        }
        Some(Self { address: backend.address.value, port, probe: check.probe.clone() })
    }
}

/// Everything that `desired` wants to be probed, each once.
#[must_use]
pub fn targets(desired: &Desired) -> HashSet<Arc<Target>> {
    let services = desired.services.iter().filter(|service| service.health.is_some());
    let of = |service: &Arc<Service>| {
        let service = Arc::clone(service);
        let targets: Vec<_> =
            service.backends.iter().filter_map(|backend| Target::of(&service, backend)).collect();
        targets
    };
    services.flat_map(of).map(Arc::new).collect()
}
