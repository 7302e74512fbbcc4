use std::sync::Arc;

use super::address::{Addresses, SnatAddress};
use super::backend::Backend;
use super::flow_hash::HashSeeds;
use super::frontend::Frontends;
use super::id::Slab;
use super::nat::NatBackends;
use super::port::{Port, PortId};
use super::route::Routing;

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
    /// Addresses that we own.
    pub addresses: Arc<Addresses>,
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
    /// The port with this id; control gives out ids only for ports that exist.
    #[inline]
    #[must_use]
    pub fn port(&self, id: PortId) -> &Port {
        &self.ports[usize::from(id.0)]
    }
}
