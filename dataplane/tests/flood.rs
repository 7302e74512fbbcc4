//! Half-open connections that give way to newer ones: whom they spare, and what their backends hear.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(dead_code, reason = "each test uses a part of what it shares with the others")]

#[path = "support/packet.rs"]
mod packet;
#[path = "support/story.rs"]
mod story;
#[path = "support/world.rs"]
mod world;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use packet::*;
use portreeve_dataplane::addr::Addr;
use portreeve_dataplane::capture::{Direction, Filter, Note, Recorder};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::{BackendId, Slab};
use portreeve_dataplane::worker::command::Command;
use story::*;
use world::*;

const PORTS: u16 = 64;
/// What [`tcp`] gives a SYN, and so what a backend does not expect again.
const NUMBER: u32 = 1000;

fn world() -> World {
    let snat_ports = 20_000..=20_000 + PORTS - 1;
    World::with(Options { snat_ports, ..Options::default() })
}

/// A connection that begins: the RST that its backend gets for another one, by our port, and the SYN.
fn begin(world: &mut World, client: End<'_>, vip: &str) -> (Option<u16>, Seen) {
    let packet = tcp(0, client, (vip, 80), "S", b"");
    let mut sent = world.send(0, &packet);
    if sent.is_empty() {
        // It has to come again.
        sent = world.send(0, &packet);
    }
    let (syn, before) = sent.split_last().unwrap();
    let syn = read(&syn.1);
    assert_eq!(tcp_of(&syn).2, "S");
    let before = before.iter().map(|(port, packet)| {
        let seen = read(packet);
        let What::Tcp { src, dst, ref flags, seq, .. } = seen.what else { panic!("{seen:?}") };
        assert_eq!((*port, seen.src, seen.dst, dst), (1, syn.src, syn.dst, 8080));
        assert_eq!((seen.src_mac, seen.dst_mac), (syn.src_mac, syn.dst_mac));
        assert_eq!((flags.as_str(), seq), ("R", NUMBER + 1));
        src
    });
    let before: Vec<_> = before.collect();
    assert!(before.len() <= 1, "one gives way to one: {before:?}");
    (before.first().copied(), syn)
}

fn establish(world: &mut World, client: End<'_>, vip: &str, syn: &Seen) {
    let (snat_port, ..) = tcp_of(syn);
    let answer = tcp(1, (&text(syn.dst), 8080), (&text(syn.src), snat_port), "SA", b"");
    assert_eq!(world.send(1, &answer).len(), 1);
    assert_eq!(world.send(0, &tcp(0, client, (vip, 80), "A", b"")).len(), 1);
}

#[test]
fn the_backend_of_a_handshake_that_gives_way_is_told_before_it_hears_of_the_new_one() {
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        let mut world = world();
        let mut open: HashMap<Addr, VecDeque<u16>> = HashMap::new();
        for port in 4000..4400 {
            let (reset, syn) = begin(&mut world, (client, port), vip);
            let open = open.entry(syn.dst).or_default();
            let full = open.len() == usize::from(PORTS / 2);
            assert_eq!(reset, full.then(|| open.pop_front().unwrap()), "the oldest of its pair");
            open.push_back(tcp_of(&syn).0);
        }
        assert_eq!(world.worker.flows().half_open(), usize::from(PORTS));
        assert_eq!(world.counters.originated.get(), world.worker.flows().evicted());
        world.assert_conserved();
    }
}

#[test]
fn newcomers_find_a_port_when_established_connections_use_most() {
    let mut world = world();
    let mut established = HashMap::new();
    // Until one of the backends has few ports left.
    for port in 4000.. {
        let (_, syn) = begin(&mut world, (CLIENT, port), VIP);
        establish(&mut world, (CLIENT, port), VIP, &syn);
        let ports: &mut Vec<_> = established.entry(syn.dst).or_default();
        ports.push((port, tcp_of(&syn).0));
        if ports.len() == usize::from(PORTS) - 3 {
            break;
        }
    }
    for port in 10_000..10_500 {
        let (reset, syn) = begin(&mut world, (CLIENT, port), VIP);
        // It may be the very port of the one that gave way, which the backend has just forgotten.
        let of_another = established[&syn.dst].iter().any(|(_, taken)| *taken == tcp_of(&syn).0);
        let evicted = established[&syn.dst].iter().any(|(_, taken)| Some(*taken) == reset);
        assert!(!of_another && !evicted);
    }
    assert_eq!(world.drops(DropReason::PortsExhausted), 0);
    for port in established.values().flatten().map(|(port, _)| *port) {
        assert_eq!(world.send(0, &tcp(0, (CLIENT, port), (VIP, 80), "A", b"still")).len(), 1);
    }
    world.assert_conserved();
}

#[test]
fn what_a_backend_is_told_is_no_part_of_the_packet_that_came() {
    let mut world = world();
    let (recorder, mut reader) = Recorder::new(Filter::default(), 100, 4096);
    for port in 4000..4400 {
        begin(&mut world, (CLIENT, port), VIP);
    }
    let again = world.send(0, &tcp(0, (CLIENT, 5000), (VIP, 80), "S", b""));
    assert!(again.is_empty(), "it has to come again");
    assert!(
        world.commands.send(Command::BeginCapture(Box::new(recorder), Box::new(|| ()))).is_ok()
    );
    begin(&mut world, (CLIENT, 5000), VIP);
    let mut seen = Vec::new();
    while let Some(record) = reader.next_record() {
        assert_eq!(record.note, Note::None);
        seen.push((record.port.0, record.direction));
    }
    let (reset, syn) = ((1, Direction::Out), (1, Direction::Out));
    assert_eq!(seen, [reset, (0, Direction::In), syn], "what came in stands before what it became");
}

#[test]
fn a_backend_that_is_gone_is_told_nothing() {
    let mut world = world();
    for port in 4000..4400 {
        begin(&mut world, (CLIENT, port), VIP);
    }
    let (_, last) = begin(&mut world, (CLIENT, 5000), VIP);
    world.change(|tables| {
        let gone = tables.backends.iter().filter(|(_, backend)| backend.addr != last.dst);
        let left: Vec<(BackendId, _)> = gone.map(|(id, backend)| (id, *backend)).collect();
        tables.backends = Arc::new(left.into_iter().collect::<Slab<_>>());
    });
    for port in 6000..6200 {
        // Nothing begins there any more, and nothing breaks.
        for _ in 0..2 {
            world.send(0, &tcp(0, (CLIENT, port), (VIP, 80), "S", b""));
        }
    }
    world.assert_conserved();
}

#[test]
fn a_flood_reaches_nobody_once_it_is_one_and_clients_get_through_by_sending_again() {
    let mut world = world();
    let syn = |port| tcp(0, (CLIENT, port), (VIP, 80), "S", b"");
    // Each is new: of those that no longer count, as many as a memory may be wrong about get through.
    let through: usize = (1..=20_000).map(|port| world.send(0, &syn(port)).len().min(1)).sum();
    let counted = 20_000 - world.drops(DropReason::FirstSyn) as usize;
    assert_eq!(through, counted);
    assert!(through < usize::from(PORTS) + 5 + 20_000 / 50, "{through} reached backends");
    for port in 30_000..30_200 {
        begin(&mut world, (CLIENT, port), VIP);
    }
    // Whom nobody floods need not wait, and who speaks UDP has no handshake.
    let other = tcp(0, (CLIENT6, 4_000), (VIP6, 80), "S", b"");
    assert_eq!(world.send(0, &other).len(), 1, "another service");
    assert!(!world.send(0, &udp(0, (CLIENT, 4_000), (VIP, 53), b"question")).is_empty());
    world.assert_conserved();
}
