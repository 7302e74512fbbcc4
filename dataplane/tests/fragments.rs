//! Datagrams in pieces: whatever order they come in and wherever, the same datagram goes on.
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

use many::Many;
use packet::*;
use pieces::*;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::limits::FRAGMENTS_HELD_MAX;
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::worker::idle::PollMode;
use proptest::prelude::*;
use world::*;

const FAMILIES: [(&str, &str, &str); 2] = [(CLIENT, VIP, SNAT), (CLIENT6, VIP6, SNAT6)];

fn payload(len: usize, salt: u16) -> Vec<u8> {
    (0..len).map(|n| (n as u16).wrapping_mul(31).wrapping_add(salt) as u8).collect()
}

/// A datagram of 4 000 bytes from a client, in pieces.
fn asked(family: usize, client_port: u16, ident: u32) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (client, vip, _) = FAMILIES[family];
    let whole = udp(0, (client, client_port), (vip, 53), &payload(4_000, client_port));
    let pieces = cut(&whole, 1_440, ident);
    (whole, pieces)
}

fn udp_of(packet: &[u8]) -> (u16, u16, Vec<u8>) {
    let What::Udp { src, dst, payload } = read(packet).what else { panic!("UDP") };
    (src, dst, payload)
}

#[test]
fn a_datagram_goes_on_in_pieces_and_so_does_its_answer() {
    for family in [0, 1] {
        let (client, vip, snat) = FAMILIES[family];
        let mut world = World::new();
        let (whole, pieces) = asked(family, 4000, 7);
        let mut sent = Vec::new();
        for piece in &pieces {
            let forwarded = world.send(0, piece);
            let [(1, forwarded)] = forwarded.as_slice() else { panic!("{forwarded:?}") };
            sent.push(forwarded.clone());
        }
        let arrived = join(&sent);
        let seen = read(&arrived);
        let (ours, port, content) = udp_of(&arrived);
        assert_eq!((seen.src, seen.ttl, port), (addr(snat), 63, 8080));
        assert_eq!(content, udp_of(&whole).2, "checksums were looked at while reading");
        let backend = seen.dst.to_string();
        let answer = udp(1, (&backend, 8080), (snat, ours), &content);
        let mut back = Vec::new();
        for piece in cut(&answer, 1_440, 7) {
            let reply = world.send(1, &piece);
            let [(0, reply)] = reply.as_slice() else { panic!("{reply:?}") };
            back.push(reply.clone());
        }
        let arrived = join(&back);
        let seen = read(&arrived);
        assert_eq!((seen.src, seen.dst), (addr(vip), addr(client)));
        assert_eq!(udp_of(&arrived), (53, 4000, content));
        assert_eq!(world.worker.flows().len(), 1);
        world.assert_conserved();
    }
}

/// With the client's address, a datagram keeps its identification; an answer is one of the VIP's.
#[test]
fn in_other_modes_datagrams_go_on_in_pieces_as_well() {
    for (mode, family) in [(Mode::Nat, 0), (Mode::Nat, 1), (Mode::DsrL2, 0), (Mode::DsrL2, 1)] {
        let (client, vip, _) = FAMILIES[family];
        let mut world = World::new();
        world.change(|tables| in_mode(tables, mode, |_| {}));
        let (whole, pieces) = asked(family, 4000, 7);
        let mut sent = Vec::new();
        for piece in pieces.iter().rev() {
            sent.extend(world.send(0, piece).into_iter().map(|(_, packet)| packet));
        }
        assert_eq!(facts(&sent[0]).0, 7);
        let arrived = join(&sent);
        let seen = read(&arrived);
        assert_eq!((seen.src, udp_of(&arrived).2), (addr(client), udp_of(&whole).2));
        if mode == Mode::DsrL2 {
            assert_eq!(seen.dst, addr(vip));
            continue;
        }
        let backend = seen.dst.to_string();
        let answer = udp(1, (&backend, 8080), (client, 4000), &payload(4_000, 1));
        let mut back = Vec::new();
        for piece in cut(&answer, 1_440, 7).iter().rev() {
            back.extend(world.send(1, piece).into_iter().map(|(_, packet)| packet));
        }
        let arrived = join(&back);
        assert_eq!((read(&arrived).src, udp_of(&arrived).0), (addr(vip), 53));
        world.assert_conserved();
    }
}

#[test]
fn two_clients_with_one_identification_are_told_apart_behind_one_source() {
    for family in [0, 1] {
        let mut world = World::new();
        let mut idents = std::collections::HashSet::new();
        for number in 0..20_u32 {
            let (_, pieces) = asked(family, 4000 + number as u16, number / 20);
            // The key has no ports: only another client can use the same identification.
            let client = 9 + number as u8;
            for mut piece in pieces {
                let at = if family == 0 { L3 + 15 } else { L3 + 23 };
                piece[at] = client;
                if family == 0 {
                    fix_ipv4(&mut piece);
                }
                let sent = world.send(0, &piece);
                idents.insert(facts(&sent[0].1).0);
            }
        }
        assert_eq!(idents.len(), 20, "one for each datagram");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Several datagrams, their pieces shuffled, each to any worker.
    #[test]
    fn any_order_and_any_interleaving_over_workers(
        workers in 1_usize..5,
        family in 0_usize..2,
        order in proptest::collection::vec((any::<u16>(), any::<u8>()), 15),
    ) {
        let options = Options { frames: 4096, ..Options::default() };
        let mut many = Many::new(workers, &options, PollMode::Busy);
        let datagrams: Vec<_> = (0..5).map(|n| asked(family, 6_000 + n * 77, 90 + u32::from(n))).collect();
        let mut pieces: Vec<_> = datagrams.iter().flat_map(|(_, pieces)| pieces).zip(&order).collect();
        pieces.sort_by_key(|(_, (place, _))| *place);
        let mut sent = Vec::new();
        for (piece, (_, worker)) in pieces {
            sent.extend(many.send(usize::from(*worker) % workers, 0, piece));
            many.turns();
        }
        // A fragment that was handed over twice needs a turn more of everybody.
        for _ in 0..3 {
            sent.extend(many.collect());
        }
        prop_assert_eq!(sent.len(), 15);
        let mut by_ident = std::collections::BTreeMap::<u32, Vec<Vec<u8>>>::new();
        for (_, port, piece) in sent {
            prop_assert_eq!(port, 1);
            by_ident.entry(facts(&piece).0).or_default().push(piece);
        }
        let mut arrived: Vec<_> = by_ident.values().map(|pieces| udp_of(&join(pieces)).2).collect();
        let mut wanted: Vec<_> = datagrams.iter().map(|(whole, _)| udp_of(whole).2).collect();
        arrived.sort();
        wanted.sort();
        prop_assert_eq!(arrived, wanted);
        many.assert_conserved();
        prop_assert!(many.census().balanced(), "{:?}", many.census());
    }
}

#[test]
fn what_waits_is_bounded_and_ends() {
    let mut world = World::new();
    for ident in 0..2_000 {
        let (_, pieces) = asked(0, 4000, ident);
        assert!(world.send(0, &pieces[1]).is_empty());
        world.assert_conserved();
    }
    let held = FRAGMENTS_HELD_MAX as u64;
    assert!(world.counters.waiting.get() <= held);
    assert!(world.drops(DropReason::FragmentsFull) >= 1_000);
    while world.counters.waiting.get() > 0 {
        assert!(world.turn().is_empty());
    }
    assert!(world.drops(DropReason::FragmentExpired) > 0);
    assert_eq!(
        world.drops(DropReason::FragmentExpired) + world.drops(DropReason::FragmentsFull),
        2_000
    );
    let (_, pieces) = asked(0, 4000, 1);
    assert_eq!(world.send(0, &pieces[0]).len(), 1, "and all goes on as before");
    world.assert_conserved();
}

/// What no stack sends.
#[test]
fn bad_fragments_are_refused() {
    for family in [0, 1] {
        let (client, vip, _) = FAMILIES[family];
        let whole = udp(0, (client, 4000), (vip, 53), &payload(4_000, 0));
        let segment = tcp(0, (client, 4000), (vip, 80), "S", &payload(2_000, 0));
        let part = payload(1_440, 1);
        let headers = if family == 0 { L3 + 20 } else { L3 + 40 };
        let cases = [
            ("a tiny first fragment", piece(&segment, &segment[headers..headers + 16], 0, true, 1)),
            ("the flags in the second", piece(&segment, &part, 8, true, 2)),
            ("no multiple of eight", piece(&whole, &part[..1_439], 1_440, true, 3)),
            ("nothing", piece(&whole, &[], 1_440, true, 4)),
            ("beyond 65535", piece(&whole, &part, 65_528, false, 5)),
        ];
        for (label, packet) in cases {
            let mut world = World::new();
            assert!(world.send(0, &packet).is_empty(), "{label}");
            assert_eq!(world.drops(DropReason::BadFragment), 1, "{label}, {family}");
            world.assert_conserved();
        }
    }
}

#[test]
fn an_overlap_spoils_its_datagram() {
    for family in [0, 1] {
        let mut world = World::new();
        let (whole, pieces) = asked(family, 4000, 7);
        assert_eq!(world.send(0, &pieces[0]).len(), 1);
        assert!(world.send(0, &pieces[0]).is_empty(), "the network repeats itself");
        assert_eq!(world.send(0, &pieces[1]).len(), 1);
        let overlap = piece(&whole, &payload(160, 3), 1_440 * 2 - 80, true, 7);
        assert!(world.send(0, &overlap).is_empty());
        assert!(world.send(0, &pieces[2]).is_empty(), "the rest ends as well");
        assert_eq!(world.drops(DropReason::BadFragment), 3);
        let (_, others) = asked(family, 4001, 8);
        assert!(others.iter().all(|piece| world.send(0, piece).len() == 1));
        world.assert_conserved();
    }
}

#[test]
fn a_fragment_too_big_for_the_way_on_is_cut_again_or_its_sender_told() {
    let options = || Options { mtus: [1500, 1300], ..Options::default() };
    let mut world = World::with(options());
    let (whole, pieces) = asked(0, 4000, 7);
    let mut sent = Vec::new();
    for piece in [&pieces[2], &pieces[0], &pieces[1]] {
        sent.extend(world.send(0, piece).into_iter().map(|(_, packet)| packet));
    }
    assert!(sent.len() > 3 && sent.iter().all(|packet| packet.len() <= L3 + 1300));
    assert_eq!(udp_of(&join(&sent)).2, udp_of(&whole).2);
    world.assert_conserved();

    let mut world = World::with(options());
    let mut kept = pieces[0].clone();
    kept[L3 + 6] |= 0x40;
    fix_ipv4(&mut kept);
    let told = read(&world.send(0, &kept)[0].1);
    let What::Icmp { kind: 3, code: 4, rest } = told.what else { panic!("{told:?}") };
    assert_eq!(rest[..4], 1300_u32.to_be_bytes());
    world.assert_conserved();

    let mut world = World::with(options());
    let (_, pieces) = asked(1, 4000, 7);
    for piece in &pieces[..2] {
        let told = read(&world.send(0, piece)[0].1);
        let What::Icmp { kind: 2, code: 0, rest } = told.what else { panic!("{told:?}") };
        assert_eq!(rest[..4], 1300_u32.to_be_bytes());
        assert_eq!(rest[4..60], piece[L3..L3 + 56], "as it was received");
    }
    world.assert_conserved();
}

#[test]
fn segments_in_pieces_belong_to_their_connection() {
    let mut world = World::new();
    let segment = tcp(0, (CLIENT, 4000), (VIP, 80), "S", &payload(2_000, 0));
    let mut sent = Vec::new();
    for piece in cut(&segment, 1_440, 9).iter().rev() {
        sent.extend(world.send(0, piece).into_iter().map(|(_, packet)| packet));
    }
    let What::Tcp { flags, payload: got, .. } = read(&join(&sent)).what else { panic!() };
    assert_eq!((flags.as_str(), got), ("S", payload(2_000, 0)));
    let lost = tcp(0, (CLIENT, 4001), (VIP, 80), "A", &payload(2_000, 0));
    for piece in cut(&lost, 1_440, 10) {
        assert!(world.send(0, &piece).is_empty(), "no RST without the length of the segment");
    }
    assert_eq!(world.drops(DropReason::NoFlow), 2);
    world.assert_conserved();
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let mut world = World::new();
    let whole = udp(0, (CLIENT6, 4000), (VIP6, 53), b"in one piece");
    let atomic = piece(&whole, &whole[L3 + 40..], 0, false, 77);
    let sent = world.send(0, &atomic);
    let [(1, forwarded)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(udp_of(&join(std::slice::from_ref(forwarded))).2, b"in one piece");
    world.assert_conserved();
}

#[test]
fn a_datagram_to_no_service_is_refused_once() {
    let mut world = World::new();
    let whole = udp(0, (CLIENT, 4000), (VIP, 99), &payload(4_000, 0));
    let pieces = cut(&whole, 1_440, 3);
    let told = read(&world.send(0, &pieces[0])[0].1);
    assert!(matches!(told.what, What::Icmp { kind: 3, code: 3, .. }), "{told:?}");
    assert!(world.send(0, &pieces[1]).is_empty(), "errors are for the first fragment alone");
    assert_eq!(world.drops(DropReason::UnknownPort), 2);
    world.assert_conserved();
}

#[test]
fn jumbo_fragments_that_span_frames_move_whole() {
    let options = Options { mtus: [9001, 9001], frames: 4096, ..Options::default() };
    let mut many = Many::new(3, &options, PollMode::Busy);
    let whole = udp(0, (CLIENT, 4_001), (VIP, 53), &payload(16_000, 5));
    let mut sent = Vec::new();
    for (at, piece) in cut(&whole, 4_800, 5).iter().enumerate().rev() {
        sent.extend(many.send(at % 3, 0, piece));
        sent.extend(many.collect());
    }
    for _ in 0..3 {
        sent.extend(many.collect());
    }
    let sent: Vec<_> = sent.into_iter().map(|(_, _, packet)| packet).collect();
    assert_eq!(udp_of(&join(&sent)).2, payload(16_000, 5));
    many.assert_conserved();
    assert!(many.census().balanced(), "{:?}", many.census());
}
