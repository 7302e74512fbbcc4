//! Where somebody may look on. What nobody looks at is compiled without.

use super::Ctx;
use super::packet::Packet;
use crate::capture::{Note, Watched};
use crate::drop_reason::DropReason;
use crate::tables::PortId;
use crate::xsk::{Frame, Umem};

/// What is told to who looks on, in the order in which it happens to a packet.
pub trait Tap {
    /// The copy of the packet path with this tap is the one for everything that is rare: it knows of
    /// VLAN tags, too.
    const RARE: bool;

    /// Who looks on, for that copy.
    fn watched(&mut self) -> Watched<'_>;

    /// A packet came in, or was handed over after it had; it is about to be decided on.
    fn received(&mut self, _ctx: &Ctx<'_>, _umem: &Umem, _frame: &mut Frame, _packet: &Packet) {}

    /// What became of the packet that came in last, where no packet that leaves says it.
    fn became(&mut self, _note: Note) {}

    /// What leaves between the two calls says nothing of the packet that came in last.
    fn aside(&mut self, _begins: bool) {}

    /// A packet is about to leave through a port.
    fn leaving(&mut self, _port: PortId, _umem: &Umem, _frame: &mut Frame) {}

    /// Whether it has left.
    fn left(&mut self, _outcome: Result<(), DropReason>) {}
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Off;

impl Tap for Off {
    const RARE: bool = false;

    fn watched(&mut self) -> Watched<'_> {
        None
    }
}
