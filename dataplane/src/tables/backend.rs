use ipnet::IpNet;

use super::id::SnatId;
use super::route::HopRef;
use crate::addr::{Addr, L4Port};

/// Whether a backend takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// Gets new flows.
    Active,
    /// Weight 0 or terminating: keeps its flows, gets no new ones.
    Draining,
    /// Removed: its TCP flows are reset, its UDP flows choose anew.
    Gone,
}

/// Where packets end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Its address.
    pub addr: Addr,
    /// Its transport port, host order.
    pub port: L4Port,
    /// Whether it takes part.
    pub state: BackendState,
    /// How it is reached.
    pub hop: HopRef,
    /// Source address towards it for frontends that name none: the first global, permanent
    /// address of the port through which it is reached.
    pub default_snat: Option<SnatId>,
    /// The prefix of the link that it is reached through: to addresses in it, it does not answer
    /// through us. `None` when it has no way.
    pub link: Option<IpNet>,
}
