//! Pin, loop, refresh the tables, hand bursts to the pipeline. A worker owns its rings, frames and
//! flows; it shares nothing but the tables that it reads and the counters that it writes.

/// What control may ask of a worker.
pub mod command;
/// Sleeping when there is nothing to do, and being woken.
pub mod idle;
/// Whether a worker sleeps.
pub mod nap;
/// The other workers.
pub mod peers;
/// Sockets of queues that came while it runs.
mod lanes;
/// While somebody looks on.
mod watched;

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::channel::Receiver;

use crate::capture::Recorder;
use crate::counters::Counters;
use crate::drop_reason::DropReason;
use crate::flow::{FlowTable, FlowTableConfig};
use crate::fragment::{Fragments, Idents};
use crate::limits::{FRAGMENTS_HELD_MAX, SWEEP_STEP};
use crate::pipeline::context::{EXTRA_MAX, Share};
use crate::pipeline::deal::{Known, deal};
use crate::pipeline::fragments::{give_up, run_noted};
use crate::pipeline::limiter::Limiters;
use crate::pipeline::tap::{Off, Tap};
use crate::pipeline::tx::{AskHop, Lane, Tx, Ways};
use crate::pipeline::waiting::Waiting;
use crate::pipeline::{Ctx, Memory, run_burst};
use crate::tables::publish::Reader;
use crate::tables::{Hop, Tables};
use crate::time::{Clock, Tick, spin};
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Pool, Socket, Umem};
use command::{Census, Command};
use idle::Idle;
use peers::{Handed, Peers};

/// Every place of the flow table is looked at once in this many milliseconds.
const SWEEP_PERIOD_MS: u64 = 8_000;
/// Places looked at in one turn that found no packets.
const SWEEP_IDLE_STEP: usize = 16_384;
/// Waiting frames are looked at this often, in milliseconds, when no new tables came.
const WAITING_PERIOD_MS: u32 = 10;

/// What a worker is made from.
pub struct Setup<S> {
    /// Its (port, queue)s.
    pub lanes: Vec<Lane<S>>,
    /// Those of queues that come while it runs, to be taken when control says so.
    pub more_lanes: Receiver<Lane<S>>,
    /// The memory of all frames.
    pub umem: Arc<Umem>,
    /// The frames that it owns.
    pub pool: Pool,
    /// Its place among all workers.
    pub peers: Peers,
    /// Its view of the tables.
    pub tables: Reader<Tables>,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// What control asks of it.
    pub commands: Receiver<Command>,
    /// Where it asks for next hops.
    pub ask: Box<dyn AskHop + Send>,
    /// Size of its flow table.
    pub flows: FlowTableConfig,
    /// How it waits.
    pub idle: Idle,
    /// Nanoseconds wasted for each packet, so that a benchmark can show that it sees them. Else 0.
    pub delay_ns: u64,
}

/// One pinned thread's work.
pub struct Worker<S> {
    lanes: Vec<Lane<S>>,
    more_lanes: Receiver<Lane<S>>,
    ways: Ways,
    umem: Arc<Umem>,
    pool: Pool,
    peers: Peers,
    tables: Reader<Tables>,
    counters: Arc<Counters>,
    commands: Receiver<Command>,
    ask: Box<dyn AskHop + Send>,
    idle: Idle,
    flows: FlowTable,
    waiting: Waiting,
    limiters: Limiters,
    tagged: Box<Burst>,
    extra: ArrayVec<(Frame, Hop), EXTRA_MAX>,
    fragments: Fragments,
    /// Away only while it is run.
    burst: Option<Box<Burst>>,
    /// What of it is this worker's; away only while it is run.
    own: Option<Box<Burst>>,
    /// What each other worker handed over.
    handed: Vec<Handed>,
    idents: Idents,
    /// Copies packets while somebody wants to see them; away only while it does.
    capture: Option<Box<Recorder>>,
    clock: Clock,
    seen_epoch: u64,
    waiting_looked: Tick,
    swept: Tick,
    sweep_debt: u64,
    delay_ns: u64,
}

/// Cores for `count` workers when nobody names some: the last that this process may use, since
/// interrupts and everything else tend to start with the first. Fewer when there are not so many.
#[must_use]
pub fn last_cores(count: usize) -> Vec<usize> {
    let mut cores = core_affinity::get_core_ids().unwrap_or_default();
    let rest = cores.len().saturating_sub(count);
    cores.drain(..rest);
    cores.into_iter().map(|core| core.id).collect()
}

/// What one turn of the loop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There was something to do.
    Busy,
    /// There was nothing to do.
    Idle,
    /// Control asked to stop.
    Stop,
}

impl<S: Socket> Worker<S> {
    /// Allocates everything that the worker will ever use.
    #[must_use]
    pub fn new(setup: Setup<S>) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        let handed = (0..setup.peers.inlets()).map(|_| Handed::default()).collect();
        let mut worker = Self {
            ways: Ways::new(&setup.lanes),
            lanes: setup.lanes,
            more_lanes: setup.more_lanes,
            umem: setup.umem,
            // Whatever comes in pieces, most frames stay free for the rest.
            fragments: Fragments::new(FRAGMENTS_HELD_MAX.min(setup.pool.home() / 4)),
            idents: Idents::new(setup.peers.own().worker(), setup.peers.classes().count()),
            pool: setup.pool,
            peers: setup.peers,
            tables: setup.tables,
            counters: setup.counters,
            commands: setup.commands,
            ask: setup.ask,
            idle: setup.idle,
            flows: FlowTable::new(setup.flows),
            waiting: Waiting::new(now),
            limiters: Limiters::new(now),
            tagged: Box::default(),
            extra: ArrayVec::new(),
            burst: Some(Box::default()),
            own: Some(Box::default()),
            handed,
            capture: None,
            clock,
            seen_epoch: 0,
            waiting_looked: now,
            swept: now,
            sweep_debt: 0,
            delay_ns: setup.delay_ns,
        };
        for lane in &mut worker.lanes {
            lane.socket.refill(&mut worker.pool);
        }
        worker
    }

    /// Pins the calling thread to `core` and works until control says stop.
    pub fn run(mut self, core: Option<usize>) {
        if let Some(id) = core {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        let mut idle_turns = 0;
        loop {
            match self.turn() {
                Turn::Busy => idle_turns = 0,
                Turn::Idle => idle_turns = u32::saturating_add(idle_turns, 1),
                Turn::Stop => break,
            }
            if self.idle.should_sleep(idle_turns) {
                self.sleep();
                idle_turns = 0;
            }
        }
    }

    /// Sleeps until there is something to do, unless another worker has just said so.
    fn sleep(&mut self) {
        if self.peers.lie_down() && !self.pool.expects() {
            self.counters.sleeps.add(1);
            let asleep = self.tables.sleep();
            self.idle.wait(!self.waiting.is_empty() || self.fragments.held() > 0);
            drop(asleep);
        }
        self.peers.get_up();
    }

    /// One turn of the loop: commands, then packets from other workers and from each lane, then
    /// what is due.
    pub fn turn(&mut self) -> Turn {
        let now = self.clock.now();
        let mut busy = false;
        while let Ok(command) = self.commands.try_recv() {
            busy = true;
            if self.obey(command, now) {
                return Turn::Stop;
            }
        }
        self.pool.welcome();
        self.take_handed();
        for lane in 0..self.lanes.len() {
            busy |= self.serve(lane, now);
        }
        self.peers.publish();
        busy |= self.serve_handed(now);
        self.peers.prefetch();
        self.retry_waiting(now);
        self.expire_fragments(now);
        let unsent = self.flush();
        let peers = &self.peers;
        self.pool.settle(|worker| peers.balance(worker));
        self.pool.publish(|worker| peers.ring(worker));
        self.sweep(now, busy);
        self.report();
        self.counters.turns.add(1);
        if busy || unsent {
            self.counters.busy_turns.add(1);
            Turn::Busy
        } else {
            Turn::Idle
        }
    }

    /// Takes a burst from a lane and runs it. Returns whether there was one.
    fn serve(&mut self, lane: usize, now: Tick) -> bool {
        let Some(mut burst) = self.burst.take() else { return false };
        let socket = &mut self.lanes[lane].socket;
        socket.complete(&mut self.pool);
        let too_long = socket.receive(&mut burst, &mut self.pool);
        let busy = !burst.is_empty() || too_long > 0;
        if busy {
            self.count_too_long(lane, too_long);
            self.run_burst(lane, now, false, &mut burst);
        }
        // Also without packets: frames may have come home since the last refill found none.
        self.lanes[lane].socket.refill(&mut self.pool);
        self.burst = Some(burst);
        busy
    }

    fn count_too_long(&self, lane: usize, too_long: usize) {
        for _ in 0..too_long {
            self.counters.port(self.lanes[lane].port).rx_packets.add(1);
            self.counters.dropped(DropReason::ChainTooLong);
        }
    }

    /// Takes a burst from each other worker. Their bytes are on the way while our own lanes are served.
    fn take_handed(&mut self) {
        for (inlet, Handed { port, burst, notes }) in self.handed.iter_mut().enumerate() {
            *port = self.peers.take(inlet, &self.umem, burst, notes);
        }
    }

    /// Runs what other workers handed over as if it had come in here, through the same port. Returns
    /// whether there was something.
    fn serve_handed(&mut self, now: Tick) -> bool {
        let mut busy = false;
        let mut handed = std::mem::take(&mut self.handed);
        for Handed { port, burst, notes } in &mut handed {
            let Some(port) = port.take() else { continue };
            // Every worker has a queue of every port.
            let lane = self.lanes.iter().position(|lane| lane.port == port).unwrap_or_default();
            busy = true;
            if notes.is_empty() {
                self.run_burst(lane, now, true, burst);
                continue;
            }
            let noted = (&mut *burst, &*notes);
            self.watched(lane, now, true, |ctx, memory, tx| run_noted(ctx, memory, noted, tx));
            notes.clear();
        }
        self.handed = handed;
        busy
    }

    fn run_burst(&mut self, lane: usize, now: Tick, handed: bool, burst: &mut Burst) {
        if self.delay_ns > 0 {
            spin(self.delay_ns * burst.len() as u64);
        }
        if self.capture.is_some() {
            return self.watched(lane, now, handed, |ctx, memory, tx| {
                run_burst(ctx, memory, burst, &Known::new(), tx);
            });
        }
        if handed || self.peers.classes().is_one() {
            return self.lend_as((lane, handed), now, Off, |ctx, memory, tx| {
                run_burst(ctx, memory, burst, &Known::new(), tx);
            });
        }
        let Some(mut own) = self.own.take() else { return };
        self.lend_as((lane, false), now, Off, |ctx, memory, tx| {
            let mut known = Known::new();
            deal(ctx, memory, (burst, &mut own), &mut known, tx);
            let rest = if own.is_empty() { burst } else { &mut own };
            run_burst(ctx, memory, rest, &known, tx);
        });
        self.own = Some(own);
    }

    /// Lends the parts of the worker to the pipeline, or to a benchmark that runs a piece of it.
    pub fn lend<R>(
        &mut self,
        lane: usize,
        now: Tick,
        work: impl FnOnce(&mut Ctx<'_>, &mut Memory<'_>, &mut Tx<'_, S>) -> R,
    ) -> R {
        self.lend_as((lane, false), now, Off, work)
    }

    fn lend_as<T: Tap, R>(
        &mut self,
        (lane, handed): (usize, bool),
        now: Tick,
        tap: T,
        work: impl FnOnce(&mut Ctx<'_>, &mut Memory<'_>, &mut Tx<'_, S, T>) -> R,
    ) -> R {
        let mut ctx = Ctx {
            tables: self.tables.refresh(),
            flows: &mut self.flows,
            counters: &self.counters,
            port: self.lanes[lane].port,
            vlan: 0,
            now,
            share: Share { classes: self.peers.classes(), own: self.peers.own(), handed },
            limiters: &mut self.limiters,
            idents: &mut self.idents,
        };
        let mut memory = Memory {
            umem: &self.umem,
            pool: &mut self.pool,
            tagged: &mut self.tagged,
            extra: &mut self.extra,
            fragments: &mut self.fragments,
            peers: &mut self.peers,
        };
        let mut tx = Tx {
            lanes: &mut self.lanes,
            ways: &self.ways,
            lane,
            waiting: &mut self.waiting,
            ask: self.ask.as_ref(),
            tap,
        };
        work(&mut ctx, &mut memory, &mut tx)
    }

    /// New tables may know the next hop that a frame waits for.
    fn retry_waiting(&mut self, now: Tick) {
        self.tables.refresh();
        let epoch = self.tables.epoch().get();
        let renewed = std::mem::replace(&mut self.seen_epoch, epoch) != epoch;
        let due = now.since(self.waiting_looked) >= WAITING_PERIOD_MS;
        if self.waiting.is_empty() || self.lanes.is_empty() || !(renewed || due) {
            return;
        }
        self.waiting_looked = now;
        self.watched(0, now, false, |ctx, memory, tx| tx.release_waiting(ctx, memory));
    }

    /// Fragments whose first one did not come have waited in vain.
    fn expire_fragments(&mut self, now: Tick) {
        while let Some(held) = self.fragments.expire(now) {
            let lane = self.lanes.iter().position(|lane| lane.port == held.port);
            self.watched(lane.unwrap_or_default(), now, false, |ctx, memory, tx| {
                give_up(ctx, memory, tx, held, DropReason::FragmentExpired);
            });
        }
    }

    /// Has the kernel send what is queued. Returns whether something is left.
    fn flush(&mut self) -> bool {
        let mut unsent = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.dirty) {
            // An error here is that of the device (down, gone): the frames stay in the ring, the
            // next turn tries again, and nobody stays awake for it.
            if let Ok(left) = lane.socket.kick() {
                lane.dirty = left;
                unsent |= left;
            }
            lane.socket.complete(&mut self.pool);
        }
        unsent
    }

    /// Looks at as many flows as are due for a look, but never at many while packets come.
    fn sweep(&mut self, now: Tick, busy: bool) {
        let elapsed = u64::from(now.since(self.swept));
        let places = self.flows.places() as u64;
        self.swept = now;
        self.sweep_debt = (self.sweep_debt + elapsed * places).min(places * SWEEP_PERIOD_MS);
        if self.sweep_debt < SWEEP_PERIOD_MS {
            return;
        }
        let most = if busy { SWEEP_STEP } else { SWEEP_IDLE_STEP };
        let steps = ((self.sweep_debt / SWEEP_PERIOD_MS) as usize).min(most);
        self.sweep_debt -= steps as u64 * SWEEP_PERIOD_MS;
        let timeouts = self.tables.refresh().timeouts;
        self.flows.sweep(&timeouts, now, steps);
    }

    fn report(&self) {
        let counters = &self.counters;
        counters.flows.set(self.flows.len() as u64);
        counters.half_open.set(self.flows.half_open() as u64);
        counters.half_open_evicted.set(self.flows.evicted());
        counters.waiting.set((self.waiting.received() + self.fragments.held()) as u64);
        counters.epoch.set(self.seen_epoch);
    }

    /// Does what control asks. Returns whether to stop.
    fn obey(&mut self, command: Command, now: Tick) -> bool {
        match command {
            Command::Announce { addr, port } => {
                // A VLAN has no lane of its own; its tag is put in on the way out.
                let own = self.lanes.iter().position(|lane| lane.port == port);
                if let Some(lane) = own.or((!self.lanes.is_empty()).then_some(0)) {
                    self.watched(lane, now, false, |ctx, memory, tx| {
                        tx.announce(ctx, memory, port, addr);
                    });
                }
            }
            Command::ListFlows(request) => {
                request.answer(self.tables.refresh(), &self.flows, now);
            }
            Command::FindFlow(name, reply) => reply(name.find(&self.flows, now)),
            Command::TakeCensus(reply) => reply(self.census()),
            Command::BeginCapture(recorder, begun) => {
                self.capture = Some(recorder);
                begun();
            }
            Command::EndCapture(reply) => reply(self.capture.take()),
            Command::TakeLanes => self.take_lanes(),
            Command::Stop => return true,
        }
        false
    }

    /// Where every chunk is that this worker holds, or that is on its way to it (design section 8;
    /// [`Census::balanced`]).
    #[must_use]
    pub fn census(&mut self) -> Census {
        let mut census = Census {
            total: self.pool.home(),
            pool: self.pool.len(),
            between: self.pool.returning() + self.peers.arriving(),
            waiting: self.waiting.chunks() + self.fragments.chunks(),
            ..Census::default()
        };
        for lane in &self.lanes {
            let occupancy = lane.socket.occupancy();
            census.rx += occupancy.rx;
            census.tx += occupancy.tx;
            census.rx_ring_full += occupancy.rx_ring_full;
            census.fill_ring_empty += occupancy.fill_ring_empty;
        }
        census
    }

    /// The lanes, for tests and benchmarks that play the network.
    pub fn lanes_mut(&mut self) -> &mut [Lane<S>] {
        &mut self.lanes
    }

    /// The flow table, for tests and benchmarks.
    #[must_use]
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }

    /// The time as the worker reads it.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.clock.now()
    }
}
