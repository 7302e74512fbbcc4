//! What says on a link that an address is ours: not a moment longer than its deadline
//! (docs/decisions/0020).

use super::super::context::{Ctx, Memory};
use super::super::rewrite::neighbour;
use super::super::tap::Tap;
use super::super::waiting::Origin;
use super::{Tx, lost};
use crate::addr::Addr;
use crate::drop_reason::DropReason;
use crate::tables::PortId;
use crate::xsk::{Frame, Socket};

impl<S: Socket, T: Tap> Tx<'_, S, T> {
    /// Tells everybody on the link of `port` that we have `addr`, unless its deadline has passed.
    pub fn announce(&mut self, ctx: &Ctx<'_>, memory: &mut Memory<'_>, port: PortId, addr: Addr) {
        let Some(mut frame) = memory.pool.take() else {
            return lost(ctx, Origin::Ours, DropReason::NoFrame);
        };
        neighbour::announce(&mut memory.umem.view(&mut frame), ctx.tables.port(port).mac, addr);
        if ctx.tables.deadlines.over(&addr) {
            memory.pool.give(frame);
            return lost(ctx, Origin::Ours, DropReason::LeaseExpired);
        }
        self.transmit(ctx, memory, (frame, Origin::Ours), port);
        self.hurry(ctx, &addr);
    }

    /// Answers who asked for `addr`, unless its deadline has passed since that was decided. The clock
    /// of the turn does not say so: the question may have waited while the process was stopped.
    #[cold]
    #[inline(never)]
    pub(super) fn advertise(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        frame: Frame,
        addr: &Addr,
    ) {
        if ctx.tables.deadlines.over(addr) {
            return self.end(ctx, memory, frame, DropReason::LeaseExpired);
        }
        match self.answer(ctx, memory, frame) {
            true => ctx.counters.replied.add(1),
            false => ctx.counters.dropped(DropReason::TxFull),
        }
        self.hurry(ctx, addr);
    }

    /// Has the kernel send what says that we have `addr`, if that has a deadline: the ring must not
    /// keep it until the end of a turn in which the process is stopped.
    fn hurry(&mut self, ctx: &Ctx<'_>, addr: &Addr) {
        if ctx.tables.deadlines.get(addr).is_none() {
            return;
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.dirty) {
            // As at the end of the turn, which tries again: an error is that of the device.
            if let Ok(left) = lane.socket.kick() {
                lane.dirty = left;
            }
        }
    }
}
