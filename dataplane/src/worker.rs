//! Pin, loop, refresh the tables, hand bursts to the pipeline. A worker owns its rings, frames and
//! flows; it shares nothing but the tables that it reads and the counters that it writes.

/// What control may ask of a worker.
pub mod command;
/// Sleeping when there is nothing to do, and being woken.
pub mod idle;

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::channel::Receiver;

use crate::addr::Classes;
use crate::counters::Counters;
use crate::drop_reason::DropReason;
use crate::flow::{FlowTable, FlowTableConfig};
use crate::limits::SWEEP_STEP;
use crate::pipeline::context::EXTRA_MAX;
use crate::pipeline::limiter::Limiters;
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
    /// The memory of all frames.
    pub umem: Arc<Umem>,
    /// The frames that it owns.
    pub pool: Pool,
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
    ways: Ways,
    umem: Arc<Umem>,
    pool: Pool,
    tables: Reader<Tables>,
    counters: Arc<Counters>,
    commands: Receiver<Command>,
    ask: Box<dyn AskHop + Send>,
    idle: Idle,
    flows: FlowTable,
    waiting: Waiting,
    limiters: Limiters,
    extra: ArrayVec<(Frame, Hop), EXTRA_MAX>,
    burst: Burst,
    ident: u16,
    clock: Clock,
    seen_epoch: u64,
    waiting_looked: Tick,
    swept: Tick,
    sweep_debt: u64,
    delay_ns: u64,
}

/// The core for a worker when nobody names one: the last that this process may use, since
/// interrupts and everything else tend to start with the first.
#[must_use]
pub fn default_core() -> Option<usize> {
    core_affinity::get_core_ids()?.last().map(|core| core.id)
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
        let mut worker = Self {
            ways: Ways::new(&setup.lanes),
            lanes: setup.lanes,
            umem: setup.umem,
            pool: setup.pool,
            tables: setup.tables,
            counters: setup.counters,
            commands: setup.commands,
            ask: setup.ask,
            idle: setup.idle,
            flows: FlowTable::new(setup.flows),
            waiting: Waiting::new(now),
            limiters: Limiters::new(now),
            extra: ArrayVec::new(),
            burst: Burst::new(),
            ident: 0,
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
                self.counters.sleeps.add(1);
                let asleep = self.tables.sleep();
                self.idle.wait(!self.waiting.is_empty());
                drop(asleep);
                idle_turns = 0;
            }
        }
    }

    /// One turn of the loop: commands, then each lane's packets, then what is due.
    pub fn turn(&mut self) -> Turn {
        let now = self.clock.now();
        let mut busy = false;
        while let Ok(command) = self.commands.try_recv() {
            busy = true;
            if self.obey(command, now) {
                return Turn::Stop;
            }
        }
        for lane in 0..self.lanes.len() {
            busy |= self.serve(lane, now);
        }
        self.retry_waiting(now);
        let unsent = self.flush();
        self.sweep(now, busy);
        self.report();
        if busy || unsent {
            self.counters.busy_turns.add(1);
            Turn::Busy
        } else {
            Turn::Idle
        }
    }

    /// Takes a burst from a lane and runs it. Returns whether there was one.
    fn serve(&mut self, lane: usize, now: Tick) -> bool {
        let socket = &mut self.lanes[lane].socket;
        socket.complete(&mut self.pool);
        let too_long = socket.receive(&mut self.burst, &mut self.pool);
        if self.burst.is_empty() && too_long == 0 {
            // Frames may have come home since the last refill found the pool empty.
            socket.refill(&mut self.pool);
            return false;
        }
        for _ in 0..too_long {
            self.counters.port(self.lanes[lane].port).rx_packets.add(1);
            self.counters.dropped(DropReason::ChainTooLong);
        }
        if self.delay_ns > 0 {
            spin(self.delay_ns * self.burst.len() as u64);
        }
        let mut burst = std::mem::take(&mut self.burst);
        self.lend(lane, now, |ctx, memory, tx| run_burst(ctx, memory, &mut burst, tx));
        self.burst = burst;
        self.lanes[lane].socket.refill(&mut self.pool);
        true
    }

    /// Lends the parts of the worker to the pipeline, or to a benchmark that runs a piece of it.
    pub fn lend<R>(
        &mut self,
        lane: usize,
        now: Tick,
        work: impl FnOnce(&mut Ctx<'_>, &mut Memory<'_>, &mut Tx<'_, S>) -> R,
    ) -> R {
        let mut ctx = Ctx {
            tables: self.tables.refresh(),
            flows: &mut self.flows,
            counters: &self.counters,
            port: self.lanes[lane].port,
            now,
            classes: Classes::ONE,
            limiters: &mut self.limiters,
            ident: &mut self.ident,
        };
        let mut memory = Memory { umem: &self.umem, pool: &mut self.pool, extra: &mut self.extra };
        let mut tx = Tx {
            lanes: &mut self.lanes,
            ways: &self.ways,
            lane,
            waiting: &mut self.waiting,
            ask: self.ask.as_ref(),
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
        self.lend(0, now, |ctx, memory, tx| tx.release_waiting(ctx, memory));
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
        counters.waiting.set(self.waiting.received() as u64);
        counters.epoch.set(self.seen_epoch);
    }

    /// Does what control asks. Returns whether to stop.
    fn obey(&mut self, command: Command, now: Tick) -> bool {
        match command {
            Command::Announce { addr, port } => {
                if let Some(lane) = self.lanes.iter().position(|lane| lane.port == port) {
                    self.lend(lane, now, |ctx, memory, tx| {
                        tx.announce(ctx, memory, port, addr);
                    });
                }
            }
            Command::ListFlows(request) => {
                request.answer(self.tables.refresh(), &self.flows, now);
            }
            Command::FindFlow(name, reply) => reply(name.find(&self.flows, now)),
            Command::TakeCensus(reply) => reply(self.census()),
            Command::Stop => return true,
        }
        false
    }

    /// Where every chunk is (design section 8; [`Census::balanced`]).
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census {
            total: self.umem.count() as usize,
            pool: self.pool.len(),
            waiting: self.waiting.chunks(),
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
