//! Frames with an 802.1Q tag: answered with the same, forwarded with that of the way out.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(dead_code, reason = "each test uses a part of what it shares with the others")]

#[path = "support/many.rs"]
mod many;
#[path = "support/packet.rs"]
mod packet;
#[path = "support/pieces.rs"]
mod pieces;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use packet::*;
use portreeve_dataplane::capture::{Direction, Filter, Recorder};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::route::HopRef;
use portreeve_dataplane::tables::*;
use portreeve_dataplane::worker::command::Command;
use portreeve_dataplane::worker::idle::PollMode;
use world::*;

/// The VLAN of the clients, on port 0: it is port 2.
const CLIENTS: u16 = 7;
/// The VLAN of the backends, on port 1: it is port 3.
const BACKENDS_VLAN: u16 = 0xabc;
/// No port is this VLAN.
const STRANGE: u16 = 9;
const ALL: [u16; 4] = [0, CLIENTS, BACKENDS_VLAN, STRANGE];

fn tagged(vlan: u16, mut packet: Vec<u8>) -> Vec<u8> {
    if vlan != 0 {
        let [high, low] = vlan.to_be_bytes();
        packet.splice(12..12, [0x81, 0, high, low]);
    }
    packet
}

/// VLAN and untagged frame.
fn untagged(frame: &[u8]) -> (u16, Vec<u8>) {
    let mut frame = frame.to_vec();
    if frame[12..14] != [0x81, 0] {
        return (0, frame);
    }
    let tag: Vec<u8> = frame.splice(12..16, []).collect();
    (u16::from_be_bytes([tag[2], tag[3]]), frame)
}

/// Clients and backends live in VLANs: the routes say so.
fn in_vlans(tables: &mut Tables) {
    let mut ports = tables.ports.to_vec();
    for parent in [0, 1] {
        ports.push(Port { name: format!("p{parent}.x").into(), ..ports[parent].clone() });
    }
    tables.ports = ports.into();
    let vlan = |port, parent, id| Vlan { port: PortId(port), parent: PortId(parent), id };
    tables.vlans = Arc::new([vlan(2, 0, CLIENTS), vlan(3, 1, BACKENDS_VLAN)]);
    let route = |port| Route { port: Some(PortId(port)), gateway: None, mtu: None };
    let routes = [("10.0.0.0/24", 2), ("10.1.0.0/24", 3), ("fd00::/64", 2), ("fd01::/64", 3)]
        .map(|(net, port)| (net.parse().unwrap(), route(port)));
    let backends = BACKENDS.iter().chain(&BACKENDS6).enumerate();
    let backends = backends
        .map(|(i, text)| (HopId::new(i as u32, 1), hop(3, text, Some(BACKEND_MACS[i % 2]))));
    let clients = [CLIENT, CLIENT6].into_iter().enumerate();
    let clients =
        clients.map(|(i, text)| (HopId::new(4 + i as u32, 1), hop(2, text, Some(CLIENT_MAC))));
    tables.routing = Arc::new(Routing::new(2, routes, backends.chain(clients)));
    let moved = |(id, backend): (BackendId, &Backend)| {
        let HopRef::Via { hop, mtu } = backend.hop else { panic!("a hop") };
        let hop = HopRef::Via { hop: HopId::new(hop.index() as u32, 1), mtu };
        (id, Backend { hop, ..*backend })
    };
    tables.backends = Arc::new(tables.backends.iter().map(moved).collect::<Slab<_>>());
    let owned = tables.addresses.iter().map(|(addr, owned)| {
        let announce =
            if owned.vip.is_some() { PortMask::NONE.with(PortId(2)) } else { owned.announce };
        (*addr, Owned { announce, ..*owned })
    });
    tables.addresses = Arc::new(owned.collect());
}

fn who_has(target: [u8; 4]) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    frame.extend(CLIENT_MAC);
    frame.extend([10, 0, 0, 9]);
    frame.extend([0; 6]);
    frame.extend(target);
    frame.resize(60, 0);
    frame
}

#[test]
fn answers_bear_the_tag_of_the_question_and_are_else_the_same() {
    let questions = [
        ("ping", ping(CLIENT, VIP, &[1; 100])),
        ("ping over IPv6", ping(CLIENT6, VIP6, &[1; 100])),
        ("ARP", who_has([10, 0, 0, 100])),
        ("unknown TCP port", tcp(0, (CLIENT, 4000), (VIP, 99), "S", b"")),
        ("unknown UDP port", udp(0, (CLIENT, 4000), (VIP, 99), &[7; 1400])),
        ("unknown UDP port over IPv6", udp(0, (CLIENT6, 4000), (VIP6, 99), &[7; 1400])),
        ("hops used up", tcp_ttl(0, (CLIENT, 4000), (VIP, 80), "S", b"", 1)),
    ];
    for (name, question) in questions {
        let mut world = World::new();
        let plain = world.send(0, &question);
        let [(0, want)] = plain.as_slice() else { panic!("{name}: {plain:?}") };
        for vlan in ALL {
            // No VLAN is a port of ours here: those on the link are answered all the same.
            let sent = world.send(0, &tagged(vlan, question.clone()));
            let [(0, frame)] = sent.as_slice() else { panic!("{name} in {vlan}: {sent:?}") };
            assert_eq!(untagged(frame), (vlan, want.clone()), "{name} in {vlan}");
        }
        world.assert_conserved();
    }
}

#[test]
fn a_flow_leaves_with_the_tags_of_its_ways() {
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        let mut world = World::new();
        let ask = udp(0, (client, 4000), (vip, 53), &[3; 1400]);
        let plain = world.send(0, &ask);
        let [(1, want)] = plain.as_slice() else { panic!("{plain:?}") };
        let What::Udp { src, .. } = read(want).what else { panic!() };
        let (ours, backend) = (read(want).src.to_string(), read(want).dst.to_string());
        let answer = udp(1, (&backend, 8080), (&ours, src), b"answer");
        let back = world.send(1, &answer);
        let [(0, want_back)] = back.as_slice() else { panic!("{back:?}") };

        // Tagged to untagged: the VLAN has no port of ours, and the routes know nothing of it.
        let sent = world.send(0, &tagged(CLIENTS, ask.clone()));
        assert_eq!(sent, [(1, want.clone())]);

        world.change(in_vlans);
        for vlan in ALL {
            let sent = world.send(0, &tagged(vlan, ask.clone()));
            let [(1, frame)] = sent.as_slice() else { panic!("in {vlan}: {sent:?}") };
            assert_eq!(untagged(frame), (BACKENDS_VLAN, want.clone()), "in {vlan}");
            let back = world.send(1, &tagged(vlan, answer.clone()));
            let [(0, frame)] = back.as_slice() else { panic!("in {vlan}: {back:?}") };
            assert_eq!(untagged(frame), (CLIENTS, want_back.clone()), "in {vlan}");
        }
        world.assert_conserved();
    }
}

#[test]
fn a_vlan_of_ours_is_a_port_with_announcements_of_its_own() {
    let mut world = World::new();
    world.change(in_vlans);
    let question = who_has([10, 0, 0, 100]);
    for (vlan, answers) in [(CLIENTS, 1), (0, 0), (STRANGE, 0)] {
        assert_eq!(world.send(0, &tagged(vlan, question.clone())).len(), answers, "in {vlan}");
    }
    assert_eq!(world.drops(DropReason::NotAnnounced), 2);
    assert!(world.commands.send(Command::Announce { addr: addr(VIP), port: PortId(2) }).is_ok());
    let sent = world.turn();
    let [(0, frame)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(untagged(frame).0, CLIENTS);
}

#[test]
fn fragments_and_jumbo_chains_bear_the_tag() {
    // A chain whose first frame is full: the tag moves bytes into the next one.
    let options = Options { mtus: [9001, 9001], stride: 4096, ..Options::default() };
    let mut world = World::with(options);
    world.change(in_vlans);
    let ask = udp(0, (CLIENT, 4000), (VIP, 53), &[5; 8900]);
    for vlan in [0, CLIENTS] {
        let sent = world.send(0, &tagged(vlan, ask.clone()));
        let [(1, frame)] = sent.as_slice() else { panic!("{} frames", sent.len()) };
        let (out, frame) = untagged(frame);
        let What::Udp { payload, .. } = read(&frame).what else { panic!() };
        assert!(out == BACKENDS_VLAN && payload == [5; 8900], "from {vlan}");
    }
    let mut world = World::with(Options { mtus: [9001, 600], stride: 4096, ..Options::default() });
    world.change(in_vlans);
    let mut cut = udp(0, (CLIENT, 4000), (VIP, 53), &[5; 1400]);
    cut[L3 + 6] = 0;
    fix_ipv4(&mut cut);
    let sent = world.send(0, &tagged(CLIENTS, cut));
    assert_eq!(sent.len(), 3);
    for (port, frame) in sent {
        let (vlan, frame) = untagged(&frame);
        assert!(port == 1 && vlan == BACKENDS_VLAN && frame.len() <= 614);
    }
}

#[test]
fn priority_tags_are_no_vlan_and_two_tags_are_not_read() {
    let mut world = World::new();
    let question = ping(CLIENT, VIP, b"ping");
    let mut priority = question.clone();
    priority.splice(12..12, [0x81, 0, 0xe0, 0]);
    let want = world.send(0, &question);
    assert_eq!(world.send(0, &priority), want);
    let twice = tagged(5, tagged(6, question.clone()));
    assert!(world.send(0, &twice).is_empty());
    assert!(world.send(0, &tagged(5, question)[..16]).is_empty());
    assert_eq!(world.drops(DropReason::UnknownEthertype), 2);
    world.assert_conserved();
}

#[test]
fn a_tagged_packet_is_handed_over_with_its_tag_and_captured_with_it() {
    let options = Options { frames: 4096, ..Options::default() };
    let mut many = many::Many::new(2, &options, PollMode::Busy);
    let mut readers = Vec::new();
    for commands in &many.commands {
        let (recorder, reader) = Recorder::new(Filter::default(), 1600, 4096);
        readers.push(reader);
        let begin = Command::BeginCapture(Box::new(recorder), Box::new(|| ()));
        assert!(commands.send(begin).is_ok());
    }
    for client in 4000..4008 {
        let question = tagged(CLIENTS, udp(0, (CLIENT, client), (VIP, 53), b"whose"));
        let sent = many.send(0, 0, &question);
        assert!(matches!(sent.as_slice(), [(_, 1, _)]), "{sent:?}");
        let came = readers[0].next_record().unwrap();
        assert_eq!((came.direction, came.bytes), (Direction::In, &question[..]));
        assert_eq!(usize::from(came.len), question.len());
        for reader in &mut readers {
            while reader.next_record().is_some() {}
        }
    }
    assert!(many.counters[1].handed_in.get() > 0);
}

/// Where a datagram meets, and whose its flow is, are other workers than the one that receives it: its
/// pieces go there with their tags, and are shown as they came in.
#[test]
fn pieces_with_tags_meet_at_other_workers() {
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        let mut many =
            many::Many::new(3, &Options { frames: 8192, ..Options::default() }, PollMode::Busy);
        let (recorder, mut reader) = Recorder::new(Filter::default(), 1600, 1 << 16);
        let begin = Command::BeginCapture(Box::new(recorder), Box::new(|| ()));
        assert!(many.commands[0].send(begin).is_ok());
        many.publisher.publish({
            let mut tables = tables(&Options::default());
            in_vlans(&mut tables);
            tables
        });
        let (mut came, mut noted) = (Vec::new(), 0);
        for number in 0..24_u16 {
            let payload: Vec<u8> = (0..4_000).map(|at| (at + usize::from(number)) as u8).collect();
            let whole = udp(0, (client, 4000 + number), (vip, 53), &payload);
            let mut left = Vec::new();
            // The first one comes last.
            for piece in pieces::cut(&whole, 1_400, u32::from(number)).iter().rev() {
                came.push(tagged(CLIENTS, piece.clone()));
                left.extend(many.send(0, 0, &came[came.len() - 1]));
                left.extend(many.collect());
            }
            noted += usize::from(left.iter().any(|(worker, ..)| *worker != 0));
            let (vlans, left): (Vec<_>, Vec<_>) =
                left.iter().map(|(_, _, frame)| untagged(frame)).unzip();
            assert_eq!(vlans, [BACKENDS_VLAN; 3]);
            let What::Udp { payload: arrived, .. } = read(&pieces::join(&left)).what else {
                panic!("UDP")
            };
            assert_eq!(arrived, payload);
        }
        assert!(noted > 0, "some flows are other workers'");
        let mut seen = Vec::new();
        while let Some(record) = reader.next_record() {
            if record.direction == Direction::In {
                seen.push(record.bytes.to_vec());
            }
        }
        assert_eq!(seen, came);
        many.assert_conserved();
    }
}

/// What a gateway says of a datagram whose pieces came with a tag bears it, too.
#[test]
fn pieces_with_tags_are_refused_with_their_tag() {
    let mut question = udp(0, (CLIENT, 4000), (VIP, 53), &[3; 2_000]);
    question[L3 + 8] = 1;
    fix_ipv4(&mut question);
    let first = pieces::cut(&question, 1_400, 5).swap_remove(0);
    let plain = World::new().send(0, &first);
    let [(0, want)] = plain.as_slice() else { panic!("{plain:?}") };
    let mut world = World::new();
    let sent = world.send(0, &tagged(STRANGE, first));
    let [(0, frame)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(untagged(frame), (STRANGE, want.clone()));
    world.assert_conserved();
}
