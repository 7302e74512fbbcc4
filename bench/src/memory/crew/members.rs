use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use crossbeam::channel::{Sender, unbounded};
use dataplane::addr::{Classes, Family};
use dataplane::counters::Counters;
use dataplane::pipeline::tx::Lane;
use dataplane::tables::publish::{self, Publisher};
use dataplane::tables::{PortId, Tables};
use dataplane::worker::command::{Census, Command};
use dataplane::worker::idle::{Idle, PollMode};
use dataplane::worker::peers::{Bell, Peers};
use dataplane::worker::{Setup, Worker};
use dataplane::xsk::Umem;
use dataplane::xsk::sim::SimSocket;
use dataplane::xsk::umem::Layout;

use super::super::established::templates;
use super::super::packets::{SMALL, Template, client};
use super::super::random::Random;
use super::super::round::{BATCH, BATCHES};
use super::super::world::{Known, RING, Shape, config, tables};
use super::Arrival;
use super::start::Start;
use crate::clock::now;
use crate::stats::median;

/// Workers, each with what puts packets into its rings.
pub struct Crew {
    members: Vec<Member>,
    counters: Vec<Arc<Counters>>,
    _publisher: Publisher<Tables>,
    _commands: Vec<Sender<Command>>,
}

struct Member {
    number: usize,
    worker: Worker<SimSocket>,
    counters: Arc<Counters>,
    templates: Vec<Template>,
    /// Its own flows, and those of the others.
    flows: [Vec<u32>; 2],
    random: Random,
}

impl Crew {
    /// `count` workers with `flows` established flows.
    pub fn new(count: usize, shape: &Shape, flows: u32) -> Result<Self> {
        let frames = 4 * RING as u32 + 1_024;
        let layout = Layout { stride: 2_048, count: count as u32 * frames };
        let (umem, pool) = Umem::simulated(layout);
        let umem = Arc::new(umem);
        let (publisher, readers) = publish::channel(tables(shape), count);
        let idles = (0..count)
            .map(|_| Idle::new(PollMode::Busy, &[]))
            .collect::<std::io::Result<Vec<_>>>()
            .context("make epoll instances")?;
        let bells: Vec<_> = idles.iter().map(|(_, waker)| Bell::new(Arc::clone(waker))).collect();
        let peers = Peers::introduce(&umem, &bells, frames as usize / 4);
        let classes = Classes::new(count as u8).context("one worker at least")?;
        let mut crew = Self {
            members: Vec::new(),
            counters: Vec::new(),
            _publisher: publisher,
            _commands: Vec::new(),
        };
        let parts = pool.divide(count).into_iter().zip(peers).zip(readers).zip(idles);
        for (number, (((pool, peers), tables), (idle, _))) in parts.enumerate() {
            let counters = Arc::new(Counters::new(16_384, count));
            let (commands, obey) = unbounded();
            let lane = |port| {
                let mut socket = SimSocket::new(Arc::clone(&umem), RING);
                socket.forget_sent();
                Lane { port: PortId(port), queue: number as u32, socket, dirty: false }
            };
            let worker = Worker::new(Setup {
                lanes: vec![lane(0), lane(1)],
                umem: Arc::clone(&umem),
                pool,
                peers,
                tables,
                counters: Arc::clone(&counters),
                commands: obey,
                ask: Box::new(Known),
                flows: config(shape),
                idle,
                more_lanes: crossbeam::channel::never(),
                delay_ns: 0,
            });
            let owned = |flow: &u32| classes.of(client(*flow).1).worker() == number;
            let (own, others) = (0..flows).partition(owned);
            crew.members.push(Member {
                number,
                worker,
                counters: Arc::clone(&counters),
                templates: templates(Family::V4, shape, SMALL)?,
                flows: [own, others],
                random: Random::new(7 + number as u64),
            });
            crew.counters.push(counters);
            crew._commands.push(commands);
        }
        crew.members.iter_mut().try_for_each(Member::establish)?;
        Ok(crew)
    }

    /// Nanoseconds for each packet of all workers together.
    pub fn round(&mut self, arrival: Arrival) -> Result<f64> {
        let count = self.members.len();
        let start = Start::new(count);
        let spent = start.together(self.members.iter_mut().collect(), |member, start| {
            let mut spent = Vec::with_capacity(BATCHES);
            for _ in 0..BATCHES {
                (0..BATCH).for_each(|n| member.inject(arrival, n));
                // As many as come in at each worker are each worker's, so that nobody has to look at
                // what the other has counted: its counters would move from core to core.
                let (goal, over) = (member.forwarded() + BATCH as u64, member.handed(arrival));
                start.wait();
                let begun = now();
                while member.forwarded() < goal || member.handed_out() < over {
                    member.worker.turn();
                }
                spent.push(begun.elapsed().as_nanos() as f64);
                start.wait();
                member.worker.turn();
            }
            median(&spent)
        });
        let lost: u64 = self.counters.iter().map(|counters| dropped(counters)).sum();
        ensure!(lost == 0, "{lost} packets were dropped");
        Ok(spent.iter().sum::<f64>() / (spent.len() * BATCH * count) as f64)
    }

    /// So many packets come in at each worker.
    pub fn inject(&mut self, arrival: Arrival, packets: usize) {
        for member in &mut self.members {
            (0..packets).for_each(|n| member.inject(arrival, n));
        }
    }

    /// One turn of each worker.
    pub fn turn(&mut self) {
        self.members.iter_mut().for_each(|member| {
            member.worker.turn();
        });
    }

    /// So many packets come in at the first worker, all of flows of the second.
    pub fn one_way(&mut self, packets: usize) -> Result<()> {
        let counters = &self.counters;
        let before = forwarded(counters);
        let all = before + packets as u64;
        let start = Start::new(self.members.len());
        start.together(self.members.iter_mut().collect(), |member, start| {
            start.wait();
            let mut sent = before;
            while forwarded(counters) < all {
                // No more at once than the way holds: what is lost would not be handed over.
                let most = all.min(forwarded(counters) + BATCH as u64);
                while member.number == 0 && sent < most && member.try_inject(Arrival::Other) {
                    sent += 1;
                }
                member.worker.turn();
            }
            // What came home late is taken up, too.
            for _ in 0..8 {
                member.worker.turn();
            }
        });
        Ok(())
    }

    /// Where all frames are.
    pub fn census(&mut self) -> Census {
        for member in &mut self.members {
            member.worker.turn();
        }
        self.members.iter_mut().map(|member| member.worker.census()).sum()
    }
}

impl Member {
    /// A packet of every flow of its own.
    fn establish(&mut self) -> Result<()> {
        for at in 0..self.flows[0].len() {
            let flow = self.flows[0][at];
            let service = flow as usize % self.templates.len();
            let packet = self.templates[service].of(client(flow));
            ensure!(self.worker.lanes_mut()[0].socket.inject(packet), "the rings have room");
            self.worker.turn();
        }
        let (count, wanted) = (self.worker.flows().len(), self.flows[0].len());
        ensure!(count == wanted, "{count} of {wanted} flows came to be");
        Ok(())
    }

    fn forwarded(&self) -> u64 {
        self.counters.forwarded.get()
    }

    fn handed_out(&self) -> u64 {
        self.counters.handed_out().sum()
    }

    /// What it will have handed over when it has read another batch.
    fn handed(&self, arrival: Arrival) -> u64 {
        let share = if arrival == Arrival::Half { BATCH as u64 / 2 } else { 0 };
        self.handed_out() + share
    }

    fn inject(&mut self, arrival: Arrival, n: usize) {
        let others = match arrival {
            Arrival::Owner => false,
            Arrival::Half => n % 2 == 1,
            Arrival::Other => true,
        };
        assert!(self.put(others), "the rings have room");
    }

    fn try_inject(&mut self, arrival: Arrival) -> bool {
        self.put(arrival != Arrival::Owner)
    }

    fn put(&mut self, others: bool) -> bool {
        let flows = &self.flows[usize::from(others)];
        let at = self.random.below(flows.len() as u32) as usize;
        let service = flows[at] as usize % self.templates.len();
        let packet = self.templates[service].of(client(flows[at]));
        self.worker.lanes_mut()[0].socket.inject(packet)
    }
}

fn forwarded(counters: &[Arc<Counters>]) -> u64 {
    counters.iter().map(|counters| counters.forwarded.get()).sum()
}

fn dropped(counters: &Counters) -> u64 {
    dataplane::drop_reason::DropReason::ALL.iter().map(|reason| counters.drops(*reason)).sum()
}
