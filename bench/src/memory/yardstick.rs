//! What every figure is held against, measured beside it: nanoseconds only hold for one processor.

use std::hint::black_box;

use arrayvec::ArrayVec;
use dataplane::mem::Fixed;
use dataplane::xsk::socket::{Burst, Socket as _};

use super::packets::Template;
use super::round::{BATCH, TURNS};
use super::world::{PORT_MACS, Rings, backend_mac};
use crate::clock::now;

/// `null`: the same rings, frames and bursts, but all that is done to a packet is that its MAC
/// addresses are written. What no packet path can do without.
pub struct Null {
    rings: Rings,
    burst: Burst,
}

impl Default for Null {
    fn default() -> Self {
        Self::new()
    }
}

impl Null {
    /// With rings of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut rings = Rings::new();
        for socket in &mut rings.sockets {
            socket.refill(&mut rings.pool);
        }
        Self { rings, burst: ArrayVec::new() }
    }

    /// Nanoseconds per packet over `batches` batches of packets from `template`.
    pub fn round(&mut self, template: &mut Template, batches: usize) -> f64 {
        let mut spent = Vec::with_capacity(batches);
        for _ in 0..batches {
            for n in 0..BATCH {
                assert!(self.rings.sockets[0].inject(template.of((n as u32, 1_024))));
            }
            let begun = now();
            for _ in 0..TURNS {
                self.turn();
            }
            spent.push(begun.elapsed().as_nanos() as f64);
        }
        spent.iter().sum::<f64>() / (batches * BATCH) as f64
    }

    fn turn(&mut self) {
        let Rings { sockets, umem, pool } = &mut self.rings;
        let [input, output] = sockets;
        input.complete(pool);
        input.receive(&mut self.burst, pool);
        for mut frame in self.burst.drain(..) {
            let mut view = umem.view(&mut frame);
            let bytes = view.bytes_mut();
            bytes[..6].copy_from_slice(&backend_mac(0));
            bytes[6..12].copy_from_slice(&PORT_MACS[1]);
            if let Err(frame) = output.transmit(frame) {
                pool.give(frame);
            }
        }
        input.refill(pool);
        // Nothing can go wrong in a simulated device.
        let _ = output.kick();
        output.complete(pool);
    }
}

/// `miss`: one read in a table of a given size whose place follows from the read before, so that
/// nothing can be fetched ahead. What a lookup costs that is not prefetched.
pub struct Miss {
    lines: Fixed<Line>,
    at: u64,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(u64);

/// Reads of one round.
const READS: usize = 20_000;

impl Miss {
    /// A table of `bytes` bytes in the same kind of pages as the flow table, all of it written.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let count = (bytes / 64).max(1);
        let mut lines = Fixed::with_capacity(count);
        for n in 0..count as u64 {
            lines.push(Line(mix(n)));
        }
        Self { lines, at: 1 }
    }

    /// Nanoseconds per read.
    pub fn round(&mut self) -> f64 {
        let begun = now();
        for _ in 0..READS {
            let place = (u128::from(mix(self.at)) * self.lines.len() as u128) >> 64;
            self.at = self.at.wrapping_add(self.lines[place as usize].0);
        }
        let spent = begun.elapsed();
        black_box(self.at);
        spent.as_nanos() as f64 / READS as f64
    }
}

/// One multiplication and a fold: much cheaper than the read.
#[inline]
fn mix(n: u64) -> u64 {
    let product = u128::from(n ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}
