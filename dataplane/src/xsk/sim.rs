//! A ring pair without a kernel: real strides, fill order and delayed completions. A test or
//! benchmark plays the network through `SimSocket::inject` and `SimSocket::take_sent`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::frame::{Chunk, Frame};
use super::pool::Pool;
use super::socket::{Burst, Occupancy, Socket};
use super::umem::Umem;
use crate::limits::CHAIN_MAX;

/// Simulated rings of one (port, queue).
#[derive(Debug)]
pub struct SimSocket {
    umem: Arc<Umem>,
    ring: usize,
    fill: VecDeque<u32>,
    rx: VecDeque<Frame>,
    tx: VecDeque<Frame>,
    completed: VecDeque<Chunk>,
    /// Chunks in `rx` and in `tx`, kept up so that nobody has to count.
    rx_chunks: usize,
    tx_chunks: usize,
    sent: Option<Vec<Vec<u8>>>,
    too_long: usize,
    held: bool,
    rx_ring_full: u64,
    fill_ring_empty: u64,
}

impl SimSocket {
    /// Rings of `ring` entries each over `umem`.
    #[must_use]
    pub fn new(umem: Arc<Umem>, ring: usize) -> Self {
        Self {
            umem,
            ring,
            fill: VecDeque::with_capacity(ring),
            rx: VecDeque::with_capacity(ring),
            tx: VecDeque::with_capacity(ring),
            completed: VecDeque::with_capacity(ring),
            rx_chunks: 0,
            tx_chunks: 0,
            sent: Some(Vec::new()),
            too_long: 0,
            held: false,
            rx_ring_full: 0,
            fill_ring_empty: 0,
        }
    }

    /// A packet arrives from the network, cut into chunks as the kernel would. Returns whether
    /// it found room, as the kernel's counters would say.
    pub fn inject(&mut self, packet: &[u8]) -> bool {
        let capacity = self.umem.layout().capacity();
        let needed = packet.len().div_ceil(capacity).max(1);
        if self.rx.len() >= self.ring {
            self.rx_ring_full += 1;
            return false;
        }
        if needed > CHAIN_MAX {
            // The kernel hands it over, and the real socket takes its chunks home one by one.
            self.too_long += 1;
            return true;
        }
        if self.fill.len() < needed {
            self.fill_ring_empty += 1;
            return false;
        }
        let mut parts = packet.chunks(capacity);
        let mut frame = self.receive_into(parts.next().unwrap_or_default());
        for part in parts {
            let mut next = self.receive_into(part);
            next.head.len = part.len() as u16;
            if frame.push(next.head).is_err() {
                unreachable!("the chain's length was checked");
            }
        }
        self.rx_chunks += frame.chunk_count();
        self.rx.push_back(frame);
        true
    }

    fn receive_into(&mut self, part: &[u8]) -> Frame {
        let index = self.fill.pop_front().unwrap_or_default();
        let mut frame = Frame::single(self.umem.id(), index, 0);
        self.umem.view(&mut frame).fill_from(part);
        frame
    }

    /// What was sent since the last call, as whole packets.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        self.sent.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes every packet out of the tx ring of a socket that is held, showing each to `look`, and
    /// completes it.
    pub fn drain_held(&mut self, mut look: impl FnMut(&[u8])) {
        while let Some(mut frame) = self.tx.pop_front() {
            look(self.umem.view(&mut frame).bytes());
            self.tx_chunks -= frame.chunk_count();
            self.completed.extend(frame.chunks());
        }
    }

    /// A device that is busy: nothing is sent from here on, or everything again.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Keeps no copies of what is sent from here on: a benchmark measures the worker, not us.
    pub fn forget_sent(&mut self) {
        self.sent = None;
    }
}

impl Socket for SimSocket {
    fn receive(&mut self, burst: &mut Burst, _pool: &mut Pool) -> usize {
        while !burst.is_full() {
            let Some(frame) = self.rx.pop_front() else { break };
            self.rx_chunks -= frame.chunk_count();
            burst.push(frame);
        }
        std::mem::take(&mut self.too_long)
    }

    fn refill(&mut self, pool: &mut Pool) {
        while self.fill.len() + self.rx_chunks < self.ring {
            let Some(index) = pool.take_index() else { break };
            self.fill.push_back(index);
        }
    }

    fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.tx_chunks + self.completed.len() + frame.chunk_count() > self.ring {
            return Err(frame);
        }
        self.tx_chunks += frame.chunk_count();
        self.tx.push_back(frame);
        Ok(())
    }

    fn kick(&mut self) -> io::Result<bool> {
        if self.held {
            return Ok(!self.tx.is_empty());
        }
        while let Some(mut frame) = self.tx.pop_front() {
            if let Some(sent) = &mut self.sent {
                let view = self.umem.view(&mut frame);
                let mut packet = vec![0; view.total_len()];
                view.copy_out(0, &mut packet);
                sent.push(packet);
            }
            self.tx_chunks -= frame.chunk_count();
            self.completed.extend(frame.chunks());
        }
        Ok(false)
    }

    fn complete(&mut self, pool: &mut Pool) {
        for chunk in self.completed.drain(..) {
            pool.give_chunk(chunk);
        }
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy {
            rx: self.fill.len() + self.rx_chunks,
            tx: self.tx_chunks + self.completed.len(),
            rx_ring_full: self.rx_ring_full,
            fill_ring_empty: self.fill_ring_empty,
        }
    }

    fn fd(&self) -> Option<RawFd> {
        None
    }
}
