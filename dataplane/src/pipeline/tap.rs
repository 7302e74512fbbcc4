//! Where somebody may look on. What nobody looks at is compiled without.

use super::packet::Packet;
use crate::capture::Note;
use crate::drop_reason::DropReason;
use crate::tables::PortId;
use crate::xsk::{Frame, Umem};

/// What is told to who looks on, in the order in which it happens to a packet.
pub trait Tap {
    /// A packet came in through a port, or was handed over by another worker after it had; it is about
    /// to be decided on.
    fn received(
        &mut self,
        _port_handed: (PortId, bool),
        _umem: &Umem,
        _frame: &mut Frame,
        _packet: &Packet,
    ) {
    }

    /// What became of the packet that came in last, where no packet that leaves says it.
    fn became(&mut self, _note: Note) {}

    /// A packet is about to leave through a port.
    fn leaving(&mut self, _port: PortId, _umem: &Umem, _frame: &mut Frame) {}

    /// Whether it has left.
    fn left(&mut self, _outcome: Result<(), DropReason>) {}
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Off;

impl Tap for Off {}
