//! One block of counters per worker. The worker is the only writer (relaxed load and store, no
//! locked instruction); control reads and sums.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::addr::Class;
use crate::drop_reason::DropReason;
use crate::limits::{HOPS_MAX, PORTS_MAX};
use crate::tables::{BackendId, FrontendId, HopId, PortId};

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owning worker calls this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets a gauge; only the owning worker calls this.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What went through one port.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PortCounters {
    /// Packets received from the kernel.
    pub rx_packets: Counter,
    /// Bytes received, Ethernet header included.
    pub rx_bytes: Counter,
    /// Packets handed to the kernel.
    pub tx_packets: Counter,
    /// Bytes sent, Ethernet header included.
    pub tx_bytes: Counter,
}

/// What one frontend did.
#[derive(Debug, Default)]
pub struct FrontendCounters {
    /// Flows begun.
    pub flows: Counter,
    /// Packets from clients that went to a backend.
    pub packets_in: Counter,
    /// Bytes of those (IP).
    pub bytes_in: Counter,
    /// Packets from backends that went to clients.
    pub packets_out: Counter,
    /// Bytes of those (IP).
    pub bytes_out: Counter,
    /// Packets that found no backend.
    pub no_backend: Counter,
}

/// What one backend said against connections. Shown to people; nothing follows from it.
#[derive(Debug, Default)]
pub struct BackendCounters {
    /// RSTs that answered a connection's begin: nobody listens there, or its queue is full.
    pub refused: Counter,
    /// RSTs of connections that were established.
    pub resets: Counter,
    /// ICMP errors "unreachable" about packets to it, by it or a router before it.
    pub unreachable: Counter,
}

/// All counters of one worker.
#[derive(Debug)]
#[repr(align(64))]
pub struct Counters {
    drops: [Counter; DropReason::COUNT],
    ports: [PortCounters; PORTS_MAX],
    frontends: Box<[FrontendCounters]>,
    backends: Box<[BackendCounters]>,
    hops: Box<[Counter]>,
    /// Apart from what another thread writes: these are few and small.
    handed_to: Box<[CachePadded<Counter>]>,
    /// Packets that other workers handed over to this one.
    pub handed_in: Counter,
    /// Packets handed on between client and backend.
    pub forwarded: Counter,
    /// Packets that asked us for something and got it (ARP, NDP, echo).
    pub replied: Counter,
    /// Dropped packets whose sender was told so (RST, ICMP error).
    pub refused: Counter,
    /// Answers left out because the rate of our own answers was used up.
    pub answers_limited: Counter,
    /// Packets that we made without being asked (gratuitous ARP, second RST, fragments).
    pub originated: Counter,
    /// Such packets that could not be sent.
    pub originated_lost: Counter,
    /// Unfinished checksums that we finished.
    pub checksums_finished: Counter,
    /// Flows in the table (gauge).
    pub flows: Counter,
    /// Of those, TCP flows whose handshake is not finished (gauge).
    pub half_open: Counter,
    /// Half-open flows that gave way to newer ones.
    pub half_open_evicted: Counter,
    /// Received packets waiting for a next hop, or for the first fragment of their datagram (gauge).
    pub waiting: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// Turns of the loop that found work.
    pub busy_turns: Counter,
    /// Times the worker went to sleep.
    pub sleeps: Counter,
    /// Epoch of the tables in use (gauge).
    pub epoch: Counter,
}

impl Counters {
    /// All zero, with room for `frontends` frontends and as many backends, for one of `workers`
    /// workers.
    #[must_use]
    pub fn new(frontends: usize, workers: usize) -> Self {
        Self {
            drops: std::array::from_fn(|_| Counter::default()),
            ports: std::array::from_fn(|_| PortCounters::default()),
            frontends: (0..frontends).map(|_| FrontendCounters::default()).collect(),
            backends: (0..frontends).map(|_| BackendCounters::default()).collect(),
            hops: (0..HOPS_MAX).map(|_| Counter::default()).collect(),
            handed_to: (0..workers).map(|_| CachePadded::default()).collect(),
            handed_in: Counter::default(),
            forwarded: Counter::default(),
            replied: Counter::default(),
            refused: Counter::default(),
            answers_limited: Counter::default(),
            originated: Counter::default(),
            originated_lost: Counter::default(),
            checksums_finished: Counter::default(),
            flows: Counter::default(),
            half_open: Counter::default(),
            half_open_evicted: Counter::default(),
            waiting: Counter::default(),
            turns: Counter::default(),
            busy_turns: Counter::default(),
            sleeps: Counter::default(),
            epoch: Counter::default(),
        }
    }

    /// A burst was read: from the kernel, or `handed` over by another worker, which has counted it
    /// for the port.
    #[inline]
    pub fn received(&self, port: PortId, handed: bool, packets: u64, bytes: u64) {
        if handed {
            return self.handed_in.add(packets);
        }
        let port = self.port(port);
        port.rx_packets.add(packets);
        port.rx_bytes.add(bytes);
    }

    /// A packet was handed over to the worker of `owner`.
    #[inline]
    pub fn handed_to(&self, owner: Class) {
        if let Some(counter) = self.handed_to.get(owner.worker()) {
            counter.add(1);
        }
    }

    /// Packets handed over to each worker, by its number.
    pub fn handed_out(&self) -> impl Iterator<Item = u64> + '_ {
        self.handed_to.iter().map(|counter| counter.get())
    }

    /// A packet ended here.
    #[inline]
    pub fn dropped(&self, reason: DropReason) {
        self.drops[reason as usize].add(1);
    }

    /// How many packets ended for `reason`.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].get()
    }

    /// The counters of a port.
    #[inline]
    #[must_use]
    pub fn port(&self, port: PortId) -> &PortCounters {
        &self.ports[usize::from(port.0)]
    }

    /// The counters of a frontend; `None` beyond the room made at start.
    #[inline]
    #[must_use]
    pub fn frontend(&self, id: FrontendId) -> Option<&FrontendCounters> {
        self.frontends.get(id.index())
    }

    /// The counters of a backend, and of those that had its place before; `None` beyond the room
    /// made at start.
    #[must_use]
    pub fn backend(&self, id: BackendId) -> Option<&BackendCounters> {
        self.backends.get(id.index())
    }

    /// A packet went to this next hop.
    #[inline]
    pub fn hop_used(&self, id: HopId) {
        if let Some(counter) = self.hops.get(id.index()) {
            counter.add(1);
        }
    }

    /// Packets that went to this next hop, and to those that had its place before.
    #[must_use]
    pub fn hop_packets(&self, id: HopId) -> u64 {
        self.hops.get(id.index()).map_or(0, Counter::get)
    }
}
