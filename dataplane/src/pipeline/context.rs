use arrayvec::ArrayVec;

use super::limiter::Limiters;
use crate::addr::{Class, Classes};
use crate::counters::Counters;
use crate::flow::FlowTable;
use crate::fragment::{Fragments, Idents};
use crate::tables::Hop;
use crate::tables::{PortId, Tables};
use crate::time::Tick;
use crate::worker::peers::Peers;
use crate::xsk::socket::Burst;
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
    /// The port that the burst came in through; of a packet with a VLAN tag, that of the VLAN.
    pub port: PortId,
    /// The VLAN whose tag the packet at hand had, and its answer gets; 0: none.
    pub vlan: u16,
    /// The time, read once for the burst.
    pub now: Tick,
    /// Which flows are this worker's.
    pub share: Share,
    /// How often we may still speak up.
    pub limiters: &'a mut Limiters,
    /// Identifications for fragments of our making, and for those whose source changes.
    pub idents: &'a mut Idents,
}

/// Which part of all flows one worker owns. It follows from the bytes of a packet and the tables
/// alone, in either direction: two workers never disagree.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// How many workers share the flows.
    pub classes: Classes,
    /// The class that is this worker's.
    pub own: Class,
    /// The burst was handed over: whoever did says that it is ours.
    pub handed: bool,
}

impl Share {
    /// All of it.
    pub const ALL: Self = Self { classes: Classes::ONE, own: Class::of_worker(0), handed: false };

    /// The owner of flows with this client-side port, host order, when it is another worker.
    #[inline]
    #[must_use]
    pub fn elsewhere(&self, client_side_port: u16) -> Option<Class> {
        if self.classes.is_one() {
            return None;
        }
        let class = self.classes.of(client_side_port);
        (class != self.own).then_some(class)
    }
}

/// The memory that packets lie in.
#[derive(Debug)]
pub struct Memory<'a> {
    /// Bytes by frame.
    pub umem: &'a Umem,
    /// Free frames.
    pub pool: &'a mut Pool,
    /// Frames of the burst with VLAN tags, which wait until it is over.
    pub tagged: &'a mut Burst,
    /// Frames made on the way: fragments, the second RST. Drained after each packet.
    pub extra: &'a mut ArrayVec<(Frame, Hop), EXTRA_MAX>,
    /// Datagrams in pieces, and frames that wait for the first one of theirs.
    pub fragments: &'a mut Fragments,
    /// Other workers, to which packets of their flows are handed over.
    pub peers: &'a mut Peers,
}
