//! Several workers in the world of `world.rs`: each has a queue of both ports.

use std::sync::Arc;

use crossbeam::channel::{Sender, unbounded};
use portreeve_dataplane::counters::Counters;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::flow::FlowTableConfig;
use portreeve_dataplane::pipeline::tx::Lane;
use portreeve_dataplane::tables::publish::{self, Publisher};
use portreeve_dataplane::tables::{PortId, Tables};
use portreeve_dataplane::worker::command::{Census, Command};
use portreeve_dataplane::worker::idle::{Idle, PollMode};
use portreeve_dataplane::worker::peers::{Bell, Peers};
use portreeve_dataplane::worker::{Setup, Worker};
use portreeve_dataplane::xsk::Umem;
use portreeve_dataplane::xsk::sim::SimSocket;
use portreeve_dataplane::xsk::umem::Layout;

use super::world::{Asked, Options, tables};

pub struct Many {
    pub workers: Vec<Worker<SimSocket>>,
    pub counters: Vec<Arc<Counters>>,
    pub commands: Vec<Sender<Command>>,
    pub publisher: Publisher<Tables>,
}

impl Many {
    pub fn new(count: usize, options: &Options, poll: PollMode) -> Self {
        let layout = Layout { stride: options.stride, count: options.frames };
        let (umem, pool) = Umem::simulated(layout);
        let umem = Arc::new(umem);
        let frames = options.frames as usize / count;
        let (publisher, readers) = publish::channel(tables(options), count);
        let idles: Vec<_> = (0..count).map(|_| Idle::new(poll, &[]).unwrap()).collect();
        let bells: Vec<_> = idles.iter().map(|(_, waker)| Bell::new(Arc::clone(waker))).collect();
        let peers = Peers::introduce(&umem, &bells, frames / 4);
        let parts = pool.divide(count).into_iter().zip(peers).zip(readers).zip(idles);
        let (mut workers, mut all_counters, mut all_commands) = (vec![], vec![], vec![]);
        for (queue, (((pool, peers), tables), (idle, _))) in parts.enumerate() {
            let counters = Arc::new(Counters::new(64, count));
            let (commands, obey) = unbounded();
            let lane = |port| Lane {
                port: PortId(port),
                queue: queue as u32,
                socket: SimSocket::new(Arc::clone(&umem), frames / 8),
                dirty: false,
            };
            let worker = Worker::new(Setup {
                lanes: vec![lane(0), lane(1)],
                umem: Arc::clone(&umem),
                pool,
                peers,
                tables,
                counters: Arc::clone(&counters),
                commands: obey,
                ask: Box::new(Asked(unbounded().0, unbounded().0)),
                flows: FlowTableConfig { flows: options.flows, pairs: 64 },
                idle,
                more_lanes: crossbeam::channel::never(),
                delay_ns: 0,
            });
            workers.push(worker);
            all_counters.push(counters);
            all_commands.push(commands);
        }
        Self { workers, counters: all_counters, commands: all_commands, publisher }
    }

    /// A packet arrives on a worker's queue of a port; what leaves because of it, by worker and port,
    /// after every worker has had two turns.
    pub fn send(
        &mut self,
        worker: usize,
        port: usize,
        packet: &[u8],
    ) -> Vec<(usize, usize, Vec<u8>)> {
        let lane = &mut self.workers[worker].lanes_mut()[port];
        assert!(lane.socket.inject(packet), "the rings have room");
        self.turns();
        self.sent()
    }

    pub fn turns(&mut self) {
        for _ in 0..2 {
            for worker in &mut self.workers {
                worker.turn();
            }
        }
    }

    /// What leaves in two more turns of every worker.
    pub fn collect(&mut self) -> Vec<(usize, usize, Vec<u8>)> {
        self.turns();
        self.sent()
    }

    fn sent(&mut self) -> Vec<(usize, usize, Vec<u8>)> {
        let mut sent = Vec::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            for (port, lane) in worker.lanes_mut().iter_mut().enumerate() {
                sent.extend(
                    lane.socket.take_sent().into_iter().map(|packet| (number, port, packet)),
                );
            }
        }
        sent
    }

    pub fn census(&mut self) -> Census {
        self.workers.iter_mut().map(Worker::census).sum()
    }

    pub fn drops(&self, reason: DropReason) -> u64 {
        self.counters.iter().map(|counters| counters.drops(reason)).sum()
    }

    /// Every packet that a worker received or was handed has one fate there.
    pub fn assert_conserved(&self) {
        for c in &self.counters {
            let received: u64 = (0..2).map(|p| c.port(PortId(p)).rx_packets.get()).sum();
            let dropped: u64 = DropReason::ALL.iter().map(|reason| c.drops(*reason)).sum();
            let handed: u64 = c.handed_out().sum();
            let ends = c.forwarded.get() + c.replied.get() + dropped + c.waiting.get() + handed;
            assert_eq!(received + c.handed_in.get(), ends);
        }
    }
}
