use std::collections::BTreeSet;

use dataplane::time::BootTime;

use crate::desired::kubernetes;
use crate::kubernetes::api::lease::MicroTime;

/// What becomes of our leadership while the API server is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnApiLoss {
    /// It ends with the lease.
    #[default]
    Release,
    /// It goes on. As long as nobody else reaches the server, either, nobody answers besides us.
    Hold,
}

impl From<kubernetes::OnApiLoss> for OnApiLoss {
    fn from(said: kubernetes::OnApiLoss) -> Self {
        match said {
            kubernetes::OnApiLoss::Release => Self::Release,
            kubernetes::OnApiLoss::Hold => Self::Hold,
        }
    }
}

/// The time, by both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// By which everything is decided.
    pub boot: BootTime,
    /// What is written into leases, for people.
    pub wall: MicroTime,
}

/// Which lease it is, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// Our identity: the name of our node.
    pub me: String,
}

/// What decides besides the lease itself.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'t> {
    /// Whether we may lead: a policy says so, we can serve, no worker is stalled, and we are not about
    /// to stop.
    pub willing: bool,
    /// Gateways that are alive and may lead, as far as we know ([`super::Gateways::candidates`]). If we
    /// are not among them, we wait with taking a lease as one does who is not preferred.
    pub candidates: &'t BTreeSet<String>,
}
