use std::sync::Arc;

use super::address::{Addresses, SnatAddress};
use super::backend::Backend;
use super::deadline::Deadlines;
use super::flow_hash::HashSeeds;
use super::frontend::Frontends;
use super::id::Slab;
use super::nat::NatBackends;
use super::port::{Port, PortId};
use super::route::Routing;
use super::vlan::{self, Vlan};

/// How long a silent flow is kept, in milliseconds. Defaults are Cilium's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP handshake not finished.
    pub tcp_syn: u32,
    /// TCP established.
    pub tcp_established: u32,
    /// TCP after FIN from both sides, or RST.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp_syn: 60_000, tcp_established: 8_000_000, tcp_fin: 10_000, udp: 60_000 }
    }
}

/// One immutable snapshot of everything that a worker looks up. Parts are shared between
/// snapshots: what did not change is the same `Arc`.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Ports by [`PortId`].
    pub ports: Arc<[Port]>,
    /// Those of them that are VLANs on the links of others.
    pub vlans: Arc<[Vlan]>,
    /// Addresses that we own.
    pub addresses: Arc<Addresses>,
    /// Until when some of them may be announced.
    pub deadlines: Arc<Deadlines>,
    /// Services, one entry per (VIP, port, protocol).
    pub frontends: Arc<Frontends>,
    /// Backends, removed ones included while flows may refer to them.
    pub backends: Arc<Slab<Backend>>,
    /// Backends in mode `nat`, whose replies are addressed to clients.
    pub nat_backends: Arc<NatBackends>,
    /// Source addresses towards backends.
    pub snat: Arc<Slab<SnatAddress>>,
    /// Routes and next hops.
    pub routing: Arc<Routing>,
    /// When silent flows end.
    pub timeouts: Timeouts,
    /// Seeds of the flow hash, the same on every gateway.
    pub seeds: HashSeeds,
}

impl Tables {
    /// The port that a frame belongs to which came in through `port` with the tag of this VLAN, or
    /// with none (0).
    #[inline]
    #[must_use]
    pub fn arrived(&self, port: PortId, vlan: u16) -> PortId {
        if vlan == 0 { port } else { vlan::arrived(&self.vlans, port, vlan) }
    }

    /// The VLAN that a port is; `None` for one that has rings.
    #[must_use]
    pub fn vlan(&self, port: PortId) -> Option<&Vlan> {
        self.vlans.iter().find(|vlan| vlan.port == port)
    }

    /// The port with this id; control gives out ids only for ports that exist.
    #[inline]
    #[must_use]
    pub fn port(&self, id: PortId) -> &Port {
        &self.ports[usize::from(id.0)]
    }
}
