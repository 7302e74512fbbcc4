//! ICMP errors about packets of flows: each end is told of what it sent itself.
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
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::tables::{BackendId, Stateless};
use portreeve_dataplane::worker::idle::PollMode;
use proptest::prelude::*;
use std::sync::Arc;
use world::*;

const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// A family: client, VIP, our source, a router on each side, and the error "too big" with its MTU.
struct Side {
    client: &'static str,
    vip: &'static str,
    snat: &'static str,
    routers: [&'static str; 2],
    too_big: (u8, u8, u32),
}

const V4: Side = Side {
    client: CLIENT,
    vip: VIP,
    snat: SNAT,
    routers: ["10.0.0.77", "10.1.0.77"],
    too_big: (3, 4, 1400),
};
const V6: Side = Side {
    client: CLIENT6,
    vip: VIP6,
    snat: SNAT6,
    routers: ["fd00::77", "fd01::77"],
    too_big: (2, 0, 1400),
};

/// A packet of a flow in each direction: as it came in, and as it went on.
struct Packets {
    asked: [Vec<u8>; 2],
    answered: [Vec<u8>; 2],
}

fn converse(world: &mut World, side: &Side, tcp_flow: bool, payload: &[u8]) -> Packets {
    let client = (side.client, 4000);
    let (ask, port) = match tcp_flow {
        true => (tcp(0, client, (side.vip, 80), "S", payload), 80),
        false => (udp(0, client, (side.vip, 53), payload), 53),
    };
    let sent = world.send(0, &ask);
    let [(1, forwarded)] = sent.as_slice() else { panic!("{port}: {sent:?}") };
    let seen = read(forwarded);
    let (ours, backend) = match seen.what {
        What::Tcp { src, dst, .. } | What::Udp { src, dst, .. } => (src, (seen.dst, dst)),
        other => panic!("{other:?}"),
    };
    let [text, our_text] = [backend.0, seen.src].map(|addr| addr.to_string());
    let (from, to) = ((text.as_str(), backend.1), (our_text.as_str(), ours));
    let answer = match tcp_flow {
        true => tcp(1, from, to, "SA", payload),
        false => udp(1, from, to, payload),
    };
    let sent = world.send(1, &answer);
    let [(0, reply)] = sent.as_slice() else { panic!("{sent:?}") };
    Packets { asked: [ask, forwarded.clone()], answered: [answer, reply.clone()] }
}

/// What an end is told about: the quote without what a hop changes, TTL and the header checksum.
fn plain_quote(ip: &[u8]) -> Vec<u8> {
    let mut quote = ip.to_vec();
    match quote[0] >> 4 {
        4 => {
            quote[8] = 0;
            quote[10..12].fill(0);
        }
        _ => quote[7] = 0,
    }
    quote
}

/// Both ends get an error about what they sent, from whom they talk to.
fn assert_told(side: &Side, tcp_flow: bool, payload: &[u8], quoted: usize) {
    let mut world = World::new();
    let packets = converse(&mut world, side, tcp_flow, payload);
    assert_told_in(&mut world, side, &packets, quoted, side.snat);
}

/// `to_backend` is where errors come from that go to backends.
fn assert_told_in(
    world: &mut World,
    side: &Side,
    packets: &Packets,
    quoted: usize,
    to_backend: &str,
) {
    let Packets { asked, answered } = packets;
    let ways = [(1, asked, side.routers[1], side.vip), (0, answered, side.routers[0], to_backend)];
    for (port, [original, sent], router, from) in ways {
        let about = error((sent, quoted), (router, ROUTER_MAC), side.too_big, b"");
        let told = world.send(port, &about);
        let [(out, told)] = told.as_slice() else { panic!("{:?}", told) };
        assert_eq!(*out, 1 - port, "to the end that sent the packet");
        let seen = read(told);
        let (src, dst) = (addr(from), read(original).src);
        assert_eq!((seen.src, seen.dst, seen.ttl), (src, dst, 63));
        let What::Icmp { kind, code, rest } = seen.what else { panic!("{:?}", seen.what) };
        let (wanted_kind, wanted_code, mtu) = side.too_big;
        assert_eq!((kind, code, &rest[..4]), (wanted_kind, wanted_code, &mtu.to_be_bytes()[..]));
        let original = &original[L3..(L3 + quoted).min(original.len())];
        assert_eq!(plain_quote(&rest[4..]), plain_quote(original));
        if is_v4(told) && original.len() >= 20 {
            let header = &rest[4..24];
            let words = header.chunks(2).map(|w| u64::from(u16::from_be_bytes([w[0], w[1]])));
            assert_eq!(fold(words.sum()), 0xffff, "the quoted header's checksum");
        }
    }
    world.assert_conserved();
}

#[test]
fn each_end_is_told_of_what_it_sent() {
    for side in [&V4, &V6] {
        for tcp_flow in [true, false] {
            assert_told(side, tcp_flow, b"payload of some length", 1500);
        }
    }
}

/// The client's address is the backends' business then, and so is the router's on the way to it.
#[test]
fn in_mode_nat_routers_of_clients_are_seen_and_those_of_backends_are_not() {
    for side in [&V4, &V6] {
        for restarted in [false, true] {
            let mut world = World::new();
            world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
            let packets = converse(&mut world, side, true, b"data");
            if restarted {
                world = World::new();
                world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
            }
            assert_told_in(&mut world, side, &packets, 1500, side.routers[0]);
            assert_eq!(world.worker.flows().len(), usize::from(!restarted));
        }
    }
}

/// About a connection of the backend's own, and about what can be of two services.
#[test]
fn in_mode_nat_an_error_about_somebody_elses_packet_is_routed() {
    let mut world = World::new();
    world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
    let packets = converse(&mut world, &V4, true, b"data");
    let about = error((&packets.asked[1], 100), (V4.routers[1], ROUTER_MAC), (3, 4, 1400), b"");
    for (stateless, passes) in [(Stateless::Route, true), (Stateless::Ambiguous, false)] {
        let mut world = World::new();
        world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
        world.change(|tables| {
            let all = tables.nat_backends.iter().map(|(end, _)| (*end, stateless));
            tables.nat_backends = Arc::new(all.collect());
        });
        let sent = world.send(1, &about);
        assert_eq!(sent.len(), usize::from(passes));
        assert_eq!(world.drops(DropReason::ReplyAmbiguous), u64::from(!passes));
        if let [(0, passed)] = sent.as_slice() {
            let (passed, about) = (read(passed), read(&about));
            assert_eq!((passed.src, passed.ttl), (addr(V4.routers[1]), 63));
            assert_eq!(passed.what, about.what);
        }
        world.assert_conserved();
    }
}

/// The backend's own packets are never seen here: the error is about one of them.
#[test]
fn in_mode_dsr_an_error_reaches_the_backend_as_it_is() {
    for side in [&V4, &V6] {
        for restarted in [false, true] {
            let mut world = World::new();
            world.change(|tables| in_mode(tables, Mode::DsrL2, |_| {}));
            let backend = world.send(0, &tcp(0, (side.client, 4000), (side.vip, 80), "S", b""));
            let mac = read(&backend[0].1).dst_mac;
            if restarted {
                world = World::new();
                world.change(|tables| in_mode(tables, Mode::DsrL2, |_| {}));
            }
            let mut answer = tcp(1, (side.vip, 80), (side.client, 4000), "SA", b"data");
            answer[6..12].copy_from_slice(&PORT_MACS[0]);
            let about = error((&answer, 100), (side.routers[0], ROUTER_MAC), side.too_big, b"");
            let told = world.send(0, &about);
            let [(1, told)] = told.as_slice() else { panic!("{told:?}") };
            let (told, about) = (read(told), read(&about));
            assert_eq!((told.src, told.dst, told.dst_mac), (about.src, addr(side.vip), mac));
            assert_eq!(told.what, about.what);
            world.assert_conserved();
        }
    }
}

#[test]
fn eight_bytes_of_the_transport_header_are_enough() {
    assert_told(&V4, true, b"payload", 28);
    assert_told(&V6, true, b"payload", 48);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_quoted(
        v6: bool,
        tcp_flow: bool,
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        half in 24_usize..280,
    ) {
        // Of half a checksum nothing can be made.
        assert_told(if v6 { &V6 } else { &V4 }, tcp_flow, &payload, 2 * half);
    }
}

#[test]
fn extensions_pass_as_they_are() {
    let mut world = World::new();
    let Packets { asked: [_, sent], .. } = converse(&mut world, &V4, false, &[7; 200]);
    // RFC 4884: 128 bytes of the datagram, counted in words, then the extension structure.
    let extension = [0x20, 0, 0xdf, 0xff, 0, 8, 1, 1, 1, 2, 3, 4];
    let about = error((&sent, 128), (V4.routers[1], ROUTER_MAC), (3, 0, 32 << 16), &extension);
    let told = world.send(1, &about);
    let [(0, told)] = told.as_slice() else { panic!("{told:?}") };
    let What::Icmp { kind: 3, code: 0, rest } = read(told).what else { panic!() };
    assert_eq!(rest[..4], [0, 32, 0, 0]);
    assert!(rest.ends_with(&extension));
}

#[test]
fn a_datagram_without_checksum_is_quoted_without() {
    let mut world = World::new();
    let mut ask = udp(0, (CLIENT, 4000), (VIP, 53), b"x");
    ask[L3 + 26..L3 + 28].fill(0);
    let sent = world.send(0, &ask);
    let about = error((&sent[0].1, 100), (BACKENDS[0], BACKEND_MACS[0]), (3, 3, 0), b"");
    let told = world.send(1, &about);
    let What::Icmp { kind: 3, code: 3, rest } = read(&told[0].1).what else { panic!() };
    assert_eq!(plain_quote(&rest[4..]), plain_quote(&ask[L3..]));
}

#[test]
fn an_error_ends_here_when_it_leads_nowhere() {
    let mut world = World::new();
    let Packets { asked: [original, sent], answered: [_, reply] } =
        converse(&mut world, &V4, true, b"data");
    let at =
        |sent: &[u8], length| error((sent, length), (V4.routers[1], ROUTER_MAC), (3, 4, 1400), b"");
    let edited = |offset: usize, value: u8| {
        let mut sent = sent.clone();
        sent[L3 + offset] = value;
        at(&sent, 100)
    };
    let mut not_its_sender = at(&sent, 100);
    let quote = L3 + 28;
    not_its_sender[quote + 15] ^= 1;
    let sum = u16::from_be_bytes([not_its_sender[L3 + 22], not_its_sender[L3 + 23]]);
    let change = if sent[L3 + 15] & 1 == 1 { 1 } else { 0xffff - 1 };
    let sum = fold(u64::from(sum) + change);
    not_its_sender[L3 + 22..L3 + 24].copy_from_slice(&sum.to_be_bytes());
    let mut wrong = at(&sent, 100);
    *wrong.last_mut().unwrap() ^= 1;
    let mut old = at(&sent, 100);
    old[L3 + 8] = 1;
    fix_ipv4(&mut old);
    let cases = [
        ("no ports", 1, at(&sent, 24), DropReason::IcmpError),
        ("another protocol", 1, edited(9, 47), DropReason::IcmpError),
        ("the middle of a datagram", 1, edited(7, 9), DropReason::IcmpError),
        ("another port", 1, edited(21, 1), DropReason::IcmpError),
        ("another family", 1, edited(0, 0x65), DropReason::IcmpError),
        ("told to somebody else", 1, not_its_sender, DropReason::IcmpError),
        ("the way in, not out", 0, at(&original, 100), DropReason::OtherHost),
        ("a wrong checksum", 1, wrong, DropReason::BadChecksum),
        ("the last hop", 1, old, DropReason::TtlExceeded),
    ];
    for (label, port, packet, reason) in cases {
        let before = world.drops(reason);
        let sent = world.send(port, &packet);
        assert!(sent.is_empty(), "{label}: {sent:?}");
        assert_eq!(world.drops(reason), before + 1, "{label}");
    }
    let redirect = error((&reply, 100), (V4.routers[0], ROUTER_MAC), (5, 1, 0), b"");
    assert!(world.send(0, &redirect).is_empty());
    assert_eq!(world.drops(DropReason::IcmpOther), 1, "a redirect is for whoever is on the link");
    world.assert_conserved();
}

#[test]
fn an_error_changes_no_flow() {
    let mut world = World::new();
    let Packets { asked: [_, sent], .. } = converse(&mut world, &V4, true, b"data");
    let half_open = world.counters.half_open.get();
    let unreachable = error((&sent, 100), (V4.routers[1], ROUTER_MAC), (3, 1, 0), b"");
    for _ in 0..10 {
        assert_eq!(world.send(1, &unreachable).len(), 1);
    }
    assert_eq!(world.worker.flows().len(), 1);
    assert_eq!(world.counters.half_open.get(), half_open);
    assert_eq!(world.counters.answers_limited.get(), 0);
}

#[test]
fn an_error_finds_the_owner_of_its_flow() {
    for workers in [1, 2, 3, 4] {
        let options = Options { frames: 4096, ..Options::default() };
        let mut many = Many::new(workers, &options, PollMode::Busy);
        for flow in 0..50 {
            let ask = udp(0, (CLIENT, 10_000 + flow), (VIP, 53), b"question");
            let sent = many.send(usize::from(flow) % workers, 0, &ask);
            let [(_, 1, forwarded)] = sent.as_slice() else { panic!("{sent:?}") };
            let about = error((forwarded, 60), (V4.routers[1], ROUTER_MAC), (3, 3, 0), b"");
            for worker in 0..workers {
                let told = many.send(worker, 1, &about);
                let [(_, 0, told)] = told.as_slice() else { panic!("{told:?}") };
                let seen = read(told);
                assert_eq!((seen.src, seen.dst), (addr(VIP), addr(CLIENT)));
                let What::Icmp { rest, .. } = seen.what else { panic!() };
                assert_eq!(plain_quote(&rest[4..]), plain_quote(&ask[L3..]));
            }
        }
        many.assert_conserved();
        assert!(many.census().balanced());
    }
}

/// Errors from a backend's side that say it cannot be reached are hints about it; those that say how it
/// could be are none, nor are those about the client.
#[test]
fn what_says_that_a_backend_cannot_be_reached_is_counted_for_it() {
    let unreachable = |world: &World| -> u64 {
        let backends = (0..4).filter_map(|n| world.counters.backend(BackendId::new(n, 0)));
        backends.map(|counters| counters.unreachable.get()).sum()
    };
    for (side, says_so, others) in [
        (V4, [(3, 1), (3, 3), (3, 13)], [(3, 4), (11, 0), (12, 0)]),
        (V6, [(1, 0), (1, 1), (1, 4)], [(2, 0), (3, 0), (4, 0)]),
    ] {
        let mut world = World::new();
        let Packets { asked, answered } = converse(&mut world, &side, false, b"anybody?");
        let mut tell = |port, packet: &[u8], (kind, code)| {
            let router = (side.routers[port], ROUTER_MAC);
            let about = error((packet, 48), router, (kind, code, 0), b"");
            assert_eq!(world.send(port, &about).len(), 1, "{kind} {code}");
            unreachable(&world)
        };
        for (seen, kind) in (1..).zip(says_so) {
            assert_eq!(tell(1, &asked[1], kind), seen);
        }
        for kind in others {
            assert_eq!(tell(1, &asked[1], kind), 3, "{kind:?}");
        }
        assert_eq!(tell(0, &answered[1], says_so[0]), 3, "about the client");
    }
}
