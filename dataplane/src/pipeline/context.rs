use arrayvec::ArrayVec;

use super::limiter::Limiters;
use crate::addr::Classes;
use crate::counters::Counters;
use crate::flow::FlowTable;
use crate::tables::Hop;
use crate::tables::{PortId, Tables};
use crate::time::Tick;
use crate::xsk::{Frame, Pool, Umem};

/// Frames that one packet can turn into besides its own.
pub const EXTRA_MAX: usize = 32;

/// What every step of the pipeline is handed; the same for all packets of a burst.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The snapshot in force for this burst.
    pub tables: &'a Tables,
    /// Connections of this worker.
    pub flows: &'a mut FlowTable,
    /// Counters of this worker.
    pub counters: &'a Counters,
    /// The port that the burst came in through.
    pub port: PortId,
    /// The time, read once for the burst.
    pub now: Tick,
    /// How many workers share the flows.
    pub classes: Classes,
    /// How often we may still speak up.
    pub limiters: &'a mut Limiters,
    /// Hop identification for fragments of our making.
    pub ident: &'a mut u16,
}

/// The memory that packets lie in.
#[derive(Debug)]
pub struct Memory<'a> {
    /// Bytes by frame.
    pub umem: &'a Umem,
    /// Free frames.
    pub pool: &'a mut Pool,
    /// Frames made on the way: fragments, the second RST. Drained after each packet.
    pub extra: &'a mut ArrayVec<(Frame, Hop), EXTRA_MAX>,
}
