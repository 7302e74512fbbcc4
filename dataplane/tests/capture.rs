//! What somebody who looks on sees: each packet that came in once, with what became of it, and each
//! that left.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(dead_code, reason = "each test uses a part of what it shares with the others")]

#[path = "support/many.rs"]
mod many;
#[path = "support/packet.rs"]
mod packet;
#[path = "support/world.rs"]
mod world;

use std::sync::{Arc, mpsc};

use many::Many;
use packet::*;
use portreeve_dataplane::addr::Proto;
use portreeve_dataplane::capture::filter::{Kind, Term};
use portreeve_dataplane::capture::{Direction, Filter, Note, Reader, Recorder};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::route::HopRef;
use portreeve_dataplane::tables::{Backend, BackendId, PortId, Routing, Slab, Tables};
use portreeve_dataplane::worker::command::Command;
use portreeve_dataplane::worker::idle::PollMode;
use world::*;

const SNAPLEN: u16 = 100;
const ROOM: usize = 4096;

/// What is compared of a record.
type Told = (usize, Direction, Note, Vec<u8>);

fn begin(commands: &crossbeam::channel::Sender<Command>, filter: Filter, room: usize) -> Reader {
    let (recorder, reader) = Recorder::new(filter, SNAPLEN, room);
    assert!(commands.send(Command::BeginCapture(Box::new(recorder), Box::new(|| ()))).is_ok());
    reader
}

fn all(reader: &mut Reader) -> Vec<Told> {
    let mut told = Vec::new();
    let mut before = 0;
    while let Some(record) = reader.next_record() {
        assert!(record.time_ns >= before, "in order");
        before = record.time_ns;
        let port = usize::from(record.port.0);
        assert!(record.bytes.len() == usize::from(record.len.min(SNAPLEN)));
        told.push((port, record.direction, record.note, record.bytes.to_vec()));
    }
    told
}

fn cut(packet: &[u8]) -> Vec<u8> {
    packet[..packet.len().min(usize::from(SNAPLEN))].to_vec()
}

fn sent_of(sent: &[(usize, Vec<u8>)]) -> Vec<Told> {
    sent.iter().map(|(port, bytes)| (*port, Direction::Out, Note::None, cut(bytes))).collect()
}

fn watched() -> (World, Reader) {
    let world = World::new();
    let reader = begin(&world.commands, Filter::default(), ROOM);
    (world, reader)
}

#[test]
fn a_packet_is_seen_as_it_came_in_and_as_it_left() {
    let (mut world, mut reader) = watched();
    let question = udp(0, (CLIENT, 4000), (VIP, 53), &[7; 300]);
    let sent = world.send(0, &question);
    assert_eq!(sent.len(), 1);
    let mut want = vec![(0, Direction::In, Note::None, cut(&question))];
    want.extend(sent_of(&sent));
    assert_eq!(all(&mut reader), want);
}

#[test]
fn a_drop_stands_beside_the_packet_as_it_came_in_and_before_what_its_sender_is_told() {
    let (mut world, mut reader) = watched();
    let stranger = tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x");
    let reset = world.send(0, &stranger);
    assert_eq!(reset.len(), 1);
    let mut want = vec![(0, Direction::In, Note::Dropped(DropReason::NoFlow), cut(&stranger))];
    want.extend(sent_of(&reset));
    let silent = udp(0, (CLIENT, 4000), (CLIENT, 53), b"not ours");
    assert!(world.send(0, &silent).is_empty());
    want.push((0, Direction::In, Note::Dropped(DropReason::NotOurs), cut(&silent)));
    assert_eq!(all(&mut reader), want);
}

fn no_hop(tables: &mut Tables) {
    let strip = |(id, backend): (BackendId, &Backend)| {
        let hop = HopRef::Ask { port: PortId(1), addr: backend.addr, mtu: 1500 };
        (id, Backend { hop, ..*backend })
    };
    tables.backends = Arc::new(tables.backends.iter().map(strip).collect::<Slab<_>>());
    tables.routing = Arc::new(Routing::default());
}

#[test]
fn a_packet_that_waited_in_vain_is_seen_again_as_it_would_have_left() {
    let (mut world, mut reader) = watched();
    world.change(no_hop);
    let question = udp(0, (CLIENT, 4000), (VIP, 53), b"who");
    world.send(0, &question);
    while world.drops(DropReason::HopUnresolved) == 0 {
        world.turn();
    }
    let told = all(&mut reader);
    let [came, ended] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*came, (0, Direction::In, Note::Waits, cut(&question)));
    let (1, Direction::Out, Note::Unsent(DropReason::HopUnresolved), bytes) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(read(bytes).src, addr(SNAT), "already translated");
}

#[test]
fn a_packet_for_a_full_ring_is_dropped_as_it_came_in() {
    let mut world = World::with(Options { frames: 64, ..Options::default() });
    let mut reader = begin(&world.commands, Filter::default(), ROOM);
    let question = udp(0, (CLIENT, 4000), (VIP, 53), b"full");
    world.worker.lanes_mut()[1].socket.hold(true);
    for _ in 0..9 {
        for _ in 0..8 {
            world.worker.lanes_mut()[0].socket.inject(&question);
        }
        world.worker.turn();
    }
    assert!(world.drops(DropReason::TxFull) > 0);
    let full = all(&mut reader)
        .into_iter()
        .filter(|told| told.2 == Note::Dropped(DropReason::TxFull))
        .inspect(|told| assert_eq!((told.0, told.1, &told.3), (0, Direction::In, &cut(&question))));
    assert_eq!(full.count() as u64, world.drops(DropReason::TxFull));
}

#[test]
fn a_packet_that_is_handed_over_is_seen_once() {
    let options = Options { frames: 4096, ..Options::default() };
    let mut many = Many::new(2, &options, PollMode::Busy);
    let mut readers: Vec<_> =
        many.commands.iter().map(|c| begin(c, Filter::default(), ROOM)).collect();
    // One of two neighbouring odd ports is the other worker's.
    let mut seen = 0;
    for client in 4000..4008 {
        let question = udp(0, (CLIENT, client), (VIP, 53), b"whose");
        let sent = many.send(0, 0, &question);
        let [(worker, 1, bytes)] = sent.as_slice() else { panic!("{sent:?}") };
        let note = if *worker == 1 { Note::HandedOver(1) } else { Note::None };
        let came = (0, Direction::In, note, cut(&question));
        let left = (1, Direction::Out, Note::None, cut(bytes));
        let told: Vec<_> = readers.iter_mut().flat_map(all).collect();
        assert_eq!(told, [came, left]);
        seen += worker;
    }
    assert!((1..8).contains(&seen), "some were handed over, some were not");
}

#[test]
fn a_full_ring_costs_copies_and_they_are_counted() {
    let mut world = World::new();
    let question = udp(0, (CLIENT, 4000), (VIP, 53), &[1; 100]);
    // Two words, and 13 for 100 bytes: two records fit.
    let mut reader = begin(&world.commands, Filter::default(), 32);
    for _ in 0..3 {
        assert_eq!(world.send(0, &question).len(), 1, "packets flow all the same");
    }
    assert_eq!(all(&mut reader).len(), 2);
    let (reply, answer) = mpsc::channel();
    let reply = Box::new(move |recorder| reply.send(recorder).unwrap());
    assert!(world.commands.send(Command::EndCapture(reply)).is_ok());
    world.send(0, &question);
    let recorder = answer.recv().unwrap().expect("it was given back");
    let seen = [0, 1].map(|port| (recorder.seen()[port].taken, recorder.seen()[port].lost));
    assert_eq!(seen, [(3, 2), (3, 2)]);
    assert!(all(&mut reader).is_empty(), "nothing is copied any more");
}

#[test]
fn only_what_the_filter_takes_is_copied() {
    let kind = |kind| (true, Term::Kind(kind));
    let end = |addr_: &str, port| (addr(addr_), port, Proto::Udp);
    let one = |term| Filter::new([term]);
    let cases: [(Filter, [usize; 4]); 14] = [
        (Filter::default(), [2, 2, 1, 2]),
        (one((true, Term::Host(addr(CLIENT)))), [1, 2, 1, 0]),
        (one((false, Term::Host(addr(CLIENT)))), [1, 0, 0, 2]),
        (one((true, Term::Net("10.1.0.0/16".parse().unwrap()))), [1, 0, 0, 0]),
        (one((true, Term::Net("fd00::/64".parse().unwrap()))), [0, 0, 0, 2]),
        (one((true, Term::Port(8080))), [1, 0, 0, 0]),
        (Filter::new([kind(Kind::Udp), (true, Term::Port(53))]), [1, 0, 1, 0]),
        (one(kind(Kind::Tcp)), [0, 2, 0, 0]),
        (one(kind(Kind::Icmp)), [0, 0, 0, 2]),
        (one(kind(Kind::Ip6)), [0, 0, 0, 2]),
        (one((true, Term::Ends([end(VIP, 53)].into()))), [1, 0, 0, 0]),
        (one((true, Term::Dropped(None))), [0, 1, 1, 0]),
        (one((true, Term::Dropped(Some(DropReason::NoFlow)))), [0, 1, 0, 0]),
        (one((true, Term::Toward(Direction::Out))), [1, 1, 0, 1]),
    ];
    for (filter, want) in cases {
        let mut world = World::new();
        let mut reader = begin(&world.commands, filter.clone(), ROOM);
        let packets = [
            udp(0, (CLIENT, 4000), (VIP, 53), b"served"),
            tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"no such flow"),
            udp(0, (CLIENT, 4000), ("10.0.0.77", 53), b"not ours"),
            ping(CLIENT6, VIP6, b"ping"),
        ];
        let got = packets.map(|packet| {
            world.send(0, &packet);
            all(&mut reader).len()
        });
        assert_eq!(got, want, "{filter:?}");
    }
}
