//! What the packet path costs: the real worker loop on simulated rings, one core, no kernel.
//!
//! `cargo run --release -p portreeve-bench [FLOWS] [ROUNDS]` prints nanoseconds per packet of
//! established flows, 64-byte IPv4 UDP in mode `snat`, as the median over rounds with its spread.
//! Frames are filled outside of the timing.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

/// The small world that the tests of the data path use, too.
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../dataplane/tests/support/world.rs"]
mod world;

use std::time::{Duration, Instant};

use portreeve_dataplane::limits::BURST;
use world::{CLIENT_MAC, Options, PORT_MACS, VIP, World, addr};

/// Bursts of one round.
const BURSTS: usize = 2_000;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let flows = numbers.next().unwrap_or(1_000);
    let rounds = numbers.next().unwrap_or(11);
    let mut bench = Bench::new(flows);
    let mut results: Vec<f64> = (0..rounds).map(|_| bench.round()).collect();
    results.sort_by(f64::total_cmp);
    let (least, median, most) =
        (results[0], results[rounds / 2], results[rounds.saturating_sub(1)]);
    println!("established, {flows} flows, 64 B IPv4 UDP, snat");
    println!("  {median:.1} ns/packet (least {least:.1}, most {most:.1}, {rounds} rounds)");
    println!("  {:.2} Mpps", 1_000.0 / median);
}

struct Bench {
    world: World,
    packets: Vec<Vec<u8>>,
    /// State of the generator that picks flows.
    random: u64,
}

impl Bench {
    fn new(flows: usize) -> Self {
        let options = Options {
            flows: flows * 2 + 64,
            snat_ports: 1_024..=65_535,
            frames: 4_096,
            ..Options::default()
        };
        let mut world = World::with(options);
        for lane in world.worker.lanes_mut() {
            lane.socket.forget_sent();
        }
        let packets = (0..flows).map(packet).collect();
        let mut bench = Self { world, packets, random: 1 };
        for flow in 0..flows {
            let sent = bench.world.worker.lanes_mut()[0].socket.inject(&bench.packets[flow]);
            assert!(sent, "the rings have room");
            bench.world.worker.turn();
        }
        bench
    }

    /// Nanoseconds per packet over one round.
    fn round(&mut self) -> f64 {
        let mut spent = Duration::ZERO;
        for _ in 0..BURSTS {
            for _ in 0..BURST {
                let flow = self.next_random() as usize % self.packets.len();
                self.world.worker.lanes_mut()[0].socket.inject(&self.packets[flow]);
            }
            let began = Instant::now();
            self.world.worker.turn();
            spent += began.elapsed();
        }
        spent.as_nanos() as f64 / (BURSTS * BURST) as f64
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 33
    }
}

/// The packet of a flow: a client of its own.
fn packet(flow: usize) -> Vec<u8> {
    let [_, b, c, d] = (flow as u32 / 50_000 + 2).to_be_bytes();
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ethernet2(CLIENT_MAC, PORT_MACS[0])
        .ipv4([10, b, c, d], addr(VIP).v4_octets(), 64)
        .udp(1_024 + (flow % 50_000) as u16, 53)
        .write(&mut packet, &[0; 22])
        .unwrap();
    packet
}
