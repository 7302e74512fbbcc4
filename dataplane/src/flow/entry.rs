use super::pair::PairRef;
use super::state::State;
use crate::addr::{Addr, L4Port, Proto};
use crate::tables::frontend::Mode;
use crate::tables::{FrontendId, HopId};
use crate::time::Tick;

/// Place of a flow in its table. Valid until the flow is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRef(pub(super) u32);

/// "No half-open node".
pub(super) const NO_NODE: u32 = u32::MAX;

/// One connection, seen from the client side. Foreign addresses as bytes, our own by stable id,
/// so that it survives any change of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Address of the client.
    pub client: Addr,
    /// Port of the client, host order.
    pub client_port: L4Port,
    /// Our port towards the backend, host order; 0 unless the mode is `snat`.
    pub snat_port: L4Port,
    /// What the client connected to.
    pub frontend: FrontendId,
    /// Our address, if it takes one, and the backend behind it.
    pub pair: PairRef,
    /// When the last packet went past.
    pub seen: Tick,
    /// How the client is reached, as of `hop_generation`.
    pub hop: HopId,
    /// [`crate::tables::Routing::generation`] when `hop` was looked up.
    pub hop_generation: u16,
    /// Largest IP packet towards the client in bytes; 0: `hop` was never looked up.
    pub hop_mtu: u16,
    /// Node in the list of half-open flows.
    pub(super) half_open: u32,
    /// Where the connection stands. Change it through [`super::FlowTable::observe`].
    pub(super) state: State,
    /// TCP or UDP.
    pub proto: Proto,
    /// How its packets are forwarded; a hairpin flow of a service in another mode is `snat`.
    pub mode: Mode,
    /// Whether this place holds a flow.
    pub(super) live: bool,
}

const _: () = assert!(size_of::<Flow>() == 48, "design section 6: 48 B or less");

impl Flow {
    /// Where the connection stands.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
}
