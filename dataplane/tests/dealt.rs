//! Whose a packet is, is first told from a glance at it, but not while somebody looks on: both ways
//! have to come to the same, for whatever comes.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(dead_code, reason = "each test uses a part of what it shares with the others")]

#[path = "support/many.rs"]
mod many;
#[path = "support/packet.rs"]
mod packet;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use many::Many;
use packet::*;
use portreeve_dataplane::capture::{Filter, Recorder};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::{Addresses, SnatId};
use portreeve_dataplane::worker::command::Command;
use portreeve_dataplane::worker::idle::PollMode;
use proptest::collection::vec;
use proptest::prelude::*;
use world::*;

const WORKERS: usize = 3;

/// A packet, the queue and port that it comes in by, and what is wrong with it.
#[derive(Debug, Clone)]
struct Sent {
    kind: usize,
    worker: usize,
    client_port: u16,
    other_port: u16,
    cut: Option<usize>,
    flipped: Option<(usize, u8)>,
}

impl Sent {
    fn packet(&self) -> (usize, Vec<u8>) {
        let (client, ours) = (self.client_port, self.other_port);
        let from_client = |ip| (ip, client);
        let (port, mut packet) = match self.kind {
            0 => (0, udp(0, from_client(CLIENT), (VIP, 53), b"question")),
            1 => (0, udp(0, from_client(CLIENT6), (VIP6, 53), b"question")),
            2 => (0, tcp(0, from_client(CLIENT), (VIP, 80), "S", b"")),
            3 => (0, tcp(0, from_client(CLIENT6), (VIP6, 80), "S", b"")),
            4 => (0, udp(0, from_client(CLIENT), (VIP, ours), b"to no service")),
            5 => (1, udp(1, (BACKENDS[0], 8080), (SNAT, ours), b"answer")),
            6 => (1, tcp(1, (BACKENDS6[0], 8080), (SNAT6, ours), "A", b"answer")),
            7 => (1, udp(1, (BACKENDS[1], 8080), (VIP, ours), b"to a VIP that is a source, too")),
            8 => (0, ping(CLIENT, VIP, b"ping")),
            _ => (0, udp(0, from_client(CLIENT), (STRANGER, ours), b"to nobody here")),
        };
        if let Some((at, value)) = self.flipped {
            let at = at % packet.len();
            packet[at] ^= value;
        }
        if let Some(len) = self.cut {
            packet.truncate(len.max(1));
        }
        (port, packet)
    }
}

const STRANGER: &str = "10.0.0.77";

fn sent() -> impl Strategy<Value = Sent> {
    let ports = (any::<u16>(), prop_oneof![any::<u16>(), 20_000..30_000_u16]);
    let cut = proptest::option::weighted(0.2, 1..90_usize);
    let flipped = proptest::option::weighted(0.5, (0..60_usize, any::<u8>()));
    (0..10_usize, 0..WORKERS, ports, cut, flipped).prop_map(
        |(kind, worker, (client_port, other_port), cut, flipped)| {
            let client_port = client_port.max(1);
            Sent { kind, worker, client_port, other_port, cut, flipped }
        },
    )
}

/// Three workers; a VIP can be a source towards backends besides.
fn world(vip_is_source: bool, watched: bool) -> Many {
    let options = Options { frames: 4096, ..Options::default() };
    let mut many = Many::new(WORKERS, &options, PollMode::Busy);
    if vip_is_source {
        let mut tables = many.publisher.current().clone();
        let both = |(address, owned): (&_, &_)| {
            let mut owned: portreeve_dataplane::tables::Owned = *owned;
            if *address == addr(VIP) {
                owned.snat = Some(SnatId::new(0, 0));
            }
            (*address, owned)
        };
        tables.addresses = Arc::new(tables.addresses.iter().map(both).collect::<Addresses>());
        many.publisher.publish(tables);
    }
    if watched {
        for commands in &many.commands {
            let (recorder, _reader) = Recorder::new(Filter::default(), 64, 64);
            let begin = Command::BeginCapture(Box::new(recorder), Box::new(|| ()));
            assert!(commands.send(begin).is_ok());
        }
    }
    many
}

/// What can be told of a packet that left: our own ports are chosen anew in each world.
fn told(sent: &[(usize, usize, Vec<u8>)]) -> Vec<(usize, usize, Vec<u8>)> {
    let headers = |packet: &[u8]| packet[..packet.len().min(14)].to_vec();
    sent.iter().map(|(_, port, packet)| (*port, packet.len(), headers(packet))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_glance_and_a_close_look_come_to_the_same(
        all in vec(sent(), 1..40),
        vip_is_source: bool,
    ) {
        let mut glanced = world(vip_is_source, false);
        let mut looked = world(vip_is_source, true);
        for one in &all {
            let (port, packet) = one.packet();
            let a = glanced.send(one.worker, port, &packet);
            let b = looked.send(one.worker, port, &packet);
            prop_assert_eq!(told(&a), told(&b), "{:?}", one);
        }
        for reason in DropReason::ALL {
            prop_assert_eq!(glanced.drops(*reason), looked.drops(*reason), "{:?}", reason);
        }
        prop_assert_eq!(glanced.drops(DropReason::HandedOverTwice), 0);
        for many in [&mut glanced, &mut looked] {
            many.assert_conserved();
            prop_assert!(many.census().balanced(), "{:?}", many.census());
        }
    }
}
