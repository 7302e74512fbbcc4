//! The end of the line: a frame goes to the socket of its port, waits for its next hop, or goes
//! home to the pool. It is counted here, once.

/// What says that an address is ours.
mod advertise;

use super::context::{Ctx, Memory};
use super::plan::Fate;
use super::tap::{Off, Tap};
use super::vlan;
use super::waiting::{Origin, Outcome, Waiting};
use crate::addr::{Addr, Class, Mac};
use crate::capture::{Note, Watched};
use crate::drop_reason::DropReason;
use crate::fragment;
use crate::limits::PORTS_MAX;
use crate::tables::{Hop, PortId};
use crate::xsk::{Frame, Socket};

/// One (port, queue) of a worker.
#[derive(Debug)]
pub struct Lane<S> {
    /// The port.
    pub port: PortId,
    /// Its queue.
    pub queue: u32,
    /// The rings.
    pub socket: S,
    /// Something waits for a kick.
    pub dirty: bool,
}

/// Which lane to send through, for each lane that a packet came in by and each port: worked out
/// once, since a worker may have dozens of lanes.
#[derive(Debug)]
pub struct Ways(Box<[[Option<u8>; PORTS_MAX]]>);

impl Ways {
    /// The same queue of the other port, if it has it; else its first.
    #[must_use]
    pub fn new<S>(lanes: &[Lane<S>]) -> Self {
        let first = |wanted: &dyn Fn(&Lane<S>) -> bool| {
            lanes.iter().position(wanted).and_then(|lane| u8::try_from(lane).ok())
        };
        let out = |from: &Lane<S>, port: PortId| {
            first(&|lane| lane.port == port && lane.queue == from.queue)
                .or_else(|| first(&|lane| lane.port == port))
        };
        let from = |lane| std::array::from_fn(|port| out(lane, PortId(port as u8)));
        Self(lanes.iter().map(from).collect())
    }

    #[inline]
    fn through(&self, from: usize, port: PortId) -> Option<usize> {
        self.0[from][usize::from(port.0) % PORTS_MAX].map(usize::from)
    }
}

/// What a worker has to tell control: next hops that it wants to know of, and others that claim an
/// address of ours.
pub trait AskHop {
    /// Asks the kernel, through control, for the MAC of `addr` on the link of `port`. Never
    /// blocks; a lost question is asked again by the next packet.
    fn ask(&self, port: PortId, addr: Addr);

    /// Says that `mac`, on the link of `port`, claims an address that we announce there. Never
    /// blocks; a claim that gets lost is made again by whoever made it.
    fn claimed(&self, _port: PortId, _addr: Addr, _mac: Mac) {}
}

/// The ways out of one worker.
pub struct Tx<'a, S, T = Off> {
    /// All (port, queue) of this worker.
    pub lanes: &'a mut [Lane<S>],
    /// Which of them serves a port.
    pub ways: &'a Ways,
    /// Which of them the burst came in through: answers leave there.
    pub lane: usize,
    /// Frames that wait for a next hop.
    pub waiting: &'a mut Waiting,
    /// Where to ask for next hops.
    pub ask: &'a dyn AskHop,
    /// Who looks on.
    pub tap: T,
}

impl<S: Socket, T: Tap> Tx<'_, S, T> {
    /// The same for packets of which something is rare.
    pub(super) fn rare(&mut self) -> Tx<'_, S, Watched<'_>> {
        let Self { lanes, ways, lane, waiting, ask, tap } = self;
        Tx { lanes, ways, lane: *lane, waiting, ask: *ask, tap: tap.watched() }
    }

    /// Sends a frame where its fate says, and the extra ones that came of it.
    #[inline(always)]
    pub fn settle(&mut self, ctx: &Ctx<'_>, memory: &mut Memory<'_>, frame: Frame, fate: Fate<'_>) {
        let counters = ctx.counters;
        match fate {
            Fate::Forward(next) => self.send(ctx, memory, (frame, Origin::Received), next),
            Fate::Split => {
                counters.forwarded.add(1);
                self.tap.became(Note::None);
                memory.pool.give(frame);
            }
            Fate::Reply => match self.answer(ctx, memory, frame) {
                true => counters.replied.add(1),
                false => counters.dropped(DropReason::TxFull),
            },
            Fate::Advertise(addr) => self.advertise(ctx, memory, frame, addr),
            Fate::Refuse(reason) => {
                counters.dropped(reason);
                self.tap.became(Note::Dropped(reason));
                if self.answer(ctx, memory, frame) {
                    counters.refused.add(1);
                }
            }
        }
        while let Some((extra, next)) = memory.extra.pop_at(0) {
            self.send(ctx, memory, (extra, Origin::Ours), &next);
        }
    }

    /// Sends a frame back where the packet came from that it is made of: with the same tag.
    #[inline]
    fn answer(&mut self, ctx: &Ctx<'_>, memory: &mut Memory<'_>, mut frame: Frame) -> bool {
        if T::RARE && ctx.vlan != 0 && !vlan::insert(memory, &mut frame, ctx.vlan) {
            let port = self.lanes[self.lane].port;
            self.take_home(memory, frame, port, DropReason::TxFull);
            return false;
        }
        self.push(self.lane, ctx, memory, frame)
    }

    /// Sends what waited and is ready, and ends what waited too long.
    pub fn release_waiting(&mut self, ctx: &Ctx<'_>, memory: &mut Memory<'_>) {
        let tables = ctx.tables;
        let resolve =
            |port: PortId, addr: Addr| tables.routing.hop_at(port, addr).map(|(_, hop)| *hop);
        while let Some(outcome) = self.waiting.pop(ctx.now, resolve) {
            match outcome {
                Outcome::Ready(mut frame, origin, next) => {
                    if let Some(mac) = next.mac() {
                        memory.umem.view(&mut frame).bytes_mut()[..6].copy_from_slice(&mac.0);
                    }
                    self.transmit(ctx, memory, (frame, origin), next.port);
                }
                Outcome::Expired(frame, origin, port) => {
                    lost(ctx, origin, DropReason::HopUnresolved);
                    self.take_home(memory, frame, port, DropReason::HopUnresolved);
                }
            }
        }
    }

    /// Sends a frame of our own that does not come of the packet at hand, before that goes.
    pub(super) fn send_aside(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        frame: Frame,
        next: &Hop,
    ) {
        self.tap.aside(true);
        self.send(ctx, memory, (frame, Origin::Ours), next);
        self.tap.aside(false);
    }

    /// Sends to `next` now, or lets the frame wait.
    #[inline(always)]
    fn send(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        (frame, origin): (Frame, Origin),
        next: &Hop,
    ) {
        if next.mac().is_some() {
            return self.transmit(ctx, memory, (frame, origin), next.port);
        }
        let pushed = self.waiting.push(frame, origin, next, ctx.now);
        if pushed.ask {
            self.ask.ask(next.port, next.addr);
        }
        match pushed.refused {
            None => self.tap.became(Note::Waits),
            Some(frame) => {
                lost(ctx, origin, DropReason::WaitingFull);
                self.take_home(memory, frame, next.port, DropReason::WaitingFull);
            }
        }
    }

    /// A packet that came in ends here.
    pub fn end(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        frame: Frame,
        reason: DropReason,
    ) {
        ctx.counters.dropped(reason);
        self.take_home(memory, frame, ctx.port, reason);
    }

    /// Takes a frame home that was about to leave through `port`.
    fn take_home(
        &mut self,
        memory: &mut Memory<'_>,
        mut frame: Frame,
        port: PortId,
        reason: DropReason,
    ) {
        self.tap.leaving(port, memory.umem, &mut frame);
        self.tap.left(Err(reason));
        memory.pool.give(frame);
    }

    /// Sends through `port`: by the queue that the burst came in on if the port has it.
    #[inline(always)]
    fn transmit(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        (frame, origin): (Frame, Origin),
        port: PortId,
    ) {
        let sent = match self.ways.through(self.lane, port) {
            Some(lane) => self.push(lane, ctx, memory, frame),
            None => self.transmit_tagged(ctx, memory, frame, port),
        };
        match (sent, origin) {
            (true, Origin::Received) => ctx.counters.forwarded.add(1),
            (true, Origin::Ours) => ctx.counters.originated.add(1),
            (false, origin) => lost(ctx, origin, DropReason::TxFull),
        }
    }

    /// Sends through the port whose frames carry the tag of the VLAN that `port` is.
    #[cold]
    #[inline(never)]
    fn transmit_tagged(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        mut frame: Frame,
        port: PortId,
    ) -> bool {
        let vlan = ctx.tables.vlan(port);
        let lane = vlan.and_then(|vlan| self.ways.through(self.lane, vlan.parent));
        let tagged = vlan.is_some_and(|vlan| vlan::insert(memory, &mut frame, vlan.id));
        match lane.filter(|_| tagged) {
            Some(lane) => self.push(lane, ctx, memory, frame),
            None => {
                self.take_home(memory, frame, port, DropReason::TxFull);
                false
            }
        }
    }

    /// Puts a frame into a tx ring, or home when that is full. Returns whether it was put.
    #[inline]
    fn push(
        &mut self,
        lane: usize,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        mut frame: Frame,
    ) -> bool {
        let bytes = frame.total_len() as u64;
        let lane = &mut self.lanes[lane];
        self.tap.leaving(lane.port, memory.umem, &mut frame);
        match lane.socket.transmit(frame) {
            Ok(()) => {
                self.tap.left(Ok(()));
                lane.dirty = true;
                let port = ctx.counters.port(lane.port);
                port.tx_packets.add(1);
                port.tx_bytes.add(bytes);
                true
            }
            Err(frame) => {
                self.tap.left(Err(DropReason::TxFull));
                memory.pool.give(frame);
                false
            }
        }
    }

    /// Gives a packet to the worker that owns its flow, as it came in: that worker reads it again, since
    /// its tables may be newer or older.
    #[inline(always)]
    pub fn hand_over(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        mut frame: Frame,
        owner: Class,
    ) {
        self.whole_again(ctx, memory, &mut frame);
        let port = self.lanes[self.lane].port;
        let handed = memory.peers.hand_over(owner, frame, port);
        self.settle_handed(ctx, memory, owner, handed);
    }

    /// Gives a fragment to the worker that owns its flow, with what is known of its ports.
    pub fn hand_over_noted(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        mut frame: Frame,
        owner: Class,
        note: fragment::Note,
    ) {
        self.whole_again(ctx, memory, &mut frame);
        let port = self.lanes[self.lane].port;
        let handed = memory.peers.hand_over_noted(owner, frame, port, note);
        self.settle_handed(ctx, memory, owner, handed);
    }

    /// Puts back the tag with which a frame came in.
    #[inline]
    fn whole_again(&self, ctx: &Ctx<'_>, memory: &Memory<'_>, frame: &mut Frame) {
        // It had its tag a moment ago: there is room.
        let whole = !T::RARE || ctx.vlan == 0 || vlan::insert(memory, frame, ctx.vlan);
        debug_assert!(whole);
    }

    #[inline]
    fn settle_handed(
        &mut self,
        ctx: &Ctx<'_>,
        memory: &mut Memory<'_>,
        owner: Class,
        handed: Result<(), Frame>,
    ) {
        match handed {
            Ok(()) => {
                ctx.counters.handed_to(owner);
                self.tap.became(Note::HandedOver(owner.worker() as u8));
            }
            Err(frame) => {
                ctx.counters.dropped(DropReason::HandoverFull);
                self.tap.became(Note::Dropped(DropReason::HandoverFull));
                memory.pool.give(frame);
            }
        }
    }
}

/// A received packet that does not leave has a drop reason; for one of ours there is a counter.
fn lost(ctx: &Ctx<'_>, origin: Origin, reason: DropReason) {
    match origin {
        Origin::Received => ctx.counters.dropped(reason),
        Origin::Ours => ctx.counters.originated_lost.add(1),
    }
}
