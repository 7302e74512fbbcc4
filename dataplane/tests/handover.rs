//! Flows have one owner, wherever their packets arrive: whole conversations over several workers.
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
use portreeve_dataplane::addr::{Addr, Classes};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::{Owned, SnatAddress, SnatId};
use portreeve_dataplane::worker::command::Command;
use portreeve_dataplane::worker::idle::PollMode;
use world::*;

const FLOWS: u16 = 200;

fn many(workers: usize) -> Many {
    let options = Options { frames: 4096, ..Options::default() };
    Many::new(workers, &options, PollMode::Busy)
}

/// Packet number `n` of any kind arrives at the next worker.
fn next_worker(n: &mut usize, workers: usize) -> usize {
    *n += 1;
    *n % workers
}

/// Source and destination of a datagram.
fn ends(packet: &[u8]) -> [(Addr, u16); 2] {
    let seen = read(packet);
    let What::Udp { src, dst, .. } = seen.what else { panic!("{seen:?}") };
    [(seen.src, src), (seen.dst, dst)]
}

#[test]
fn conversations_go_on_wherever_their_packets_arrive() {
    for workers in [1, 2, 3, 4] {
        let mut many = many(workers);
        let mut at = 0;
        for flow in 0..FLOWS {
            let client = (CLIENT, 10_000 + flow);
            let ask = udp(0, client, (VIP, 53), b"question");
            let first = many.send(next_worker(&mut at, workers), 0, &ask);
            let [(_, 1, forwarded)] = first.as_slice() else { panic!("{first:?}") };
            let way = ends(forwarded);
            let [ours, backend] = way.map(|(addr, port)| (addr.to_string(), port));
            let answer = udp(1, (&backend.0, backend.1), (&ours.0, ours.1), b"answer");
            for _ in 0..workers {
                let again = many.send(next_worker(&mut at, workers), 0, &ask);
                let [(_, 1, forwarded)] = again.as_slice() else { panic!("{again:?}") };
                assert_eq!(ends(forwarded), way, "one flow, one way");
                let back = many.send(next_worker(&mut at, workers), 1, &answer);
                let [(_, 0, reply)] = back.as_slice() else { panic!("{back:?}") };
                assert_eq!(ends(reply)[1], (addr(client.0), client.1));
            }
        }
        let flows: u64 = many.counters.iter().map(|counters| counters.flows.get()).sum();
        assert_eq!(flows, u64::from(FLOWS), "no flow has two owners");
        for (from, counters) in many.counters.iter().enumerate() {
            for (to, handed) in counters.handed_out().enumerate() {
                assert_eq!(handed > 0, from != to, "{from} to {to} of {workers}");
            }
        }
        many.assert_conserved();
        assert!(many.census().balanced(), "{:?}", many.census());
    }
}

/// Every second packet has to be read before it is told whose it is: it is none the later for that.
#[test]
fn packets_of_one_flow_stay_in_order_whatever_they_look_like() {
    let mut many = many(3);
    for client in 7_000..7_020 {
        let burst = (0..20_u8).map(|number| {
            let packet = udp(0, (CLIENT, client), (VIP, 53), &[number; 8]);
            if number % 2 == 0 { packet } else { with_options(packet) }
        });
        burst.for_each(|packet| {
            let lane = &mut many.workers[0].lanes_mut()[0];
            assert!(lane.socket.inject(&packet), "the rings have room");
        });
        let sent = many.collect();
        let order: Vec<_> = sent.iter().filter_map(|(_, _, packet)| packet.last()).collect();
        assert_eq!(order, (0..20).collect::<Vec<u8>>().iter().collect::<Vec<_>>(), "{client}");
    }
    assert!(many.counters[0].handed_out().sum::<u64>() > 0);
    many.assert_conserved();
}

/// Four bytes of options that say nothing, behind the IPv4 header.
fn with_options(mut packet: Vec<u8>) -> Vec<u8> {
    packet.splice(L3 + 20..L3 + 20, [1; 4]);
    packet[L3] = 0x46;
    let len = (packet.len() - L3) as u16;
    packet[L3 + 2..L3 + 4].copy_from_slice(&len.to_be_bytes());
    fix_ipv4(&mut packet);
    packet
}

#[test]
fn a_chain_is_handed_over_whole() {
    let options = Options { mtus: [9001, 9001], frames: 4096, ..Options::default() };
    let mut many = Many::new(2, &options, PollMode::Busy);
    let payload: Vec<u8> = (0..5_000).map(|n| n as u8).collect();
    for worker in [0, 1] {
        let sent = many.send(worker, 0, &udp(0, (CLIENT, 4_001), (VIP, 53), &payload));
        let [(_, 1, forwarded)] = sent.as_slice() else { panic!("{} packets", sent.len()) };
        assert!(forwarded.ends_with(&payload));
    }
    assert_eq!(many.counters.iter().map(|c| c.handed_in.get()).sum::<u64>(), 1);
    assert!(many.census().balanced(), "{:?}", many.census());
}

#[test]
fn a_worker_that_does_not_keep_up_costs_packets_and_no_frames() {
    let mut many = many(2);
    let owner_of = |client: u16, many: &mut Many| {
        let sent = many.send(0, 0, &udp(0, (CLIENT, client), (VIP, 53), b"x"));
        sent[0].0
    };
    let port = (5_000..).find(|port| owner_of(*port, &mut many) == 1).unwrap();
    let packet = udp(0, (CLIENT, port), (VIP, 53), b"x");
    for _ in 0..1_000 {
        many.workers[0].lanes_mut()[0].socket.inject(&packet);
        many.workers[0].turn();
    }
    assert!(many.drops(DropReason::HandoverFull) > 0, "the other one had no turn");
    for _ in 0..100 {
        many.turns();
    }
    many.assert_conserved();
    assert!(many.census().balanced(), "{:?}", many.census());
}

/// One worker's tables are older than the other's: to the newer ones the packet is a reply.
#[test]
fn a_packet_that_would_be_handed_over_again_ends() {
    let mut many = many(2);
    let classes = Classes::new(2).unwrap();
    assert_eq!(classes.of(53).worker(), 1, "the port of the service");
    let client = (5_000..).find(|port| classes.of(*port).worker() == 0).unwrap();
    let packet = udp(0, (CLIENT, client), (VIP, 53), b"x");
    many.workers[1].lanes_mut()[0].socket.inject(&packet);
    many.workers[1].turn();
    let mut tables = many.publisher.current().clone();
    let owned = Owned { snat: Some(SnatId::new(0, 0)), ..Owned::default() };
    let source = SnatAddress { addr: addr(VIP), ports: 1..=u16::MAX, shared: false };
    tables.addresses = Arc::new([(addr(VIP), owned)].into_iter().collect());
    tables.snat = Arc::new([(SnatId::new(0, 0), source)].into_iter().collect());
    many.publisher.publish(tables);
    many.workers[0].turn();
    assert_eq!(many.drops(DropReason::HandedOverTwice), 1);
    many.turns();
    many.assert_conserved();
    assert!(many.census().balanced(), "{:?}", many.census());
}

/// Ten million packets in a debug build would take minutes; the whole number runs in `bench`.
#[test]
fn what_is_handed_over_one_way_only_does_not_pile_up() {
    let mut many = many(2);
    let packet = (5_000..)
        .map(|port| udp(0, (CLIENT, port), (VIP, 53), b"x"))
        .find(|packet| many.send(0, 0, packet)[0].0 == 1)
        .unwrap();
    let before = many.counters[1].handed_in.get();
    for worker in &mut many.workers {
        worker.lanes_mut().iter_mut().for_each(|lane| lane.socket.forget_sent());
    }
    for _ in 0..20_000 {
        assert!(many.workers[0].lanes_mut()[0].socket.inject(&packet), "frames come home in time");
        for worker in &mut many.workers {
            worker.turn();
        }
    }
    many.turns();
    assert_eq!(many.counters[1].handed_in.get() - before, 20_000);
    assert!(many.census().balanced(), "{:?}", many.census());
}

#[test]
fn a_sleeping_owner_is_woken_for_what_is_handed_over() {
    let options = Options { frames: 4096, ..Options::default() };
    let mut many = Many::new(2, &options, PollMode::Interrupt);
    let packet = (5_000..)
        .map(|port| udp(0, (CLIENT, port), (VIP, 53), b"x"))
        .find(|packet| many.send(0, 0, packet)[0].0 == 1)
        .unwrap();
    let mut first = many.workers.remove(0);
    let second = many.workers.remove(0);
    let (counters, stop) = (many.counters[1].clone(), many.commands[1].clone());
    let sleeper = std::thread::spawn(move || second.run(None));
    let (mut slept, mut sleeps) = (0, 0);
    for _ in 0..50 {
        let handed = counters.handed_in.get();
        while counters.sleeps.get() == sleeps {
            std::thread::yield_now();
        }
        sleeps = counters.sleeps.get();
        let begun = first.now();
        first.lanes_mut()[0].socket.inject(&packet);
        first.turn();
        while counters.handed_in.get() == handed {
            std::thread::yield_now();
        }
        slept += first.now().since(begun);
    }
    // By itself it would wake after 100 ms each time.
    assert!(slept < 50 * 100 / 3, "{slept} ms until it took what was handed over");
    stop.send(Command::Stop).unwrap();
    sleeper.join().unwrap();
}
