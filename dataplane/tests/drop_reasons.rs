//! Every drop reason with a packet that has it: a reason that nothing can cause is no reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/packet.rs"]
mod packet;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use packet::*;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::tables::{
    Backend, BackendId, Deadline, Frontends, Routing, Slab, Sources, Stateless,
};
use portreeve_dataplane::time::BootTime;
use world::*;

fn few_ports() -> Options {
    Options { snat_ports: 20_000..=20_003, ..Options::default() }
}

/// What has to happen for a reason.
type Cause = Box<dyn Fn() -> World>;

/// One packet into a fresh world.
fn one(port: usize, packet: Vec<u8>) -> Cause {
    Box::new(move || {
        let mut world = World::new();
        world.send(port, &packet);
        world
    })
}

/// The same in a world that was changed before.
fn changed(change: fn(&mut portreeve_dataplane::tables::Tables), packet: Vec<u8>) -> Cause {
    Box::new(move || {
        let mut world = World::new();
        world.change(change);
        world.send(0, &packet);
        world
    })
}

fn syn() -> Vec<u8> {
    tcp(0, (CLIENT, 4000), (VIP, 80), "S", b"")
}

fn datagram() -> Vec<u8> {
    udp(0, (CLIENT, 4000), (VIP, 53), b"payload")
}

/// A datagram with one byte of its IPv4 header changed.
fn edited(at: usize, value: u8) -> Vec<u8> {
    let mut packet = datagram();
    packet[L3 + at] = value;
    fix_ipv4(&mut packet);
    packet
}

fn icmp(kind: u8) -> Vec<u8> {
    let mut packet = ping(CLIENT, VIP, &[0; 28]);
    packet[L3 + 20] = kind;
    packet
}

/// Packets from different clients until something is used up.
fn many(options: Options, packet: fn(u16) -> Vec<u8>, count: u16, establish: bool) -> World {
    let mut world = World::with(options);
    for number in 0..count {
        let sent = world.send(0, &packet(number));
        let Some((1, frame)) = sent.first().filter(|_| establish) else { continue };
        let seen = read(frame);
        let What::Tcp { src, .. } = seen.what else { continue };
        let backend = seen.dst.to_string();
        world.send(1, &tcp(1, (&backend, 8080), (SNAT, src), "SA", b""));
        world.send(0, &tcp(0, (CLIENT, 1024 + number), (VIP, 80), "A", b""));
    }
    world
}

fn syn_of(number: u16) -> Vec<u8> {
    tcp(0, (CLIENT, 1024 + number), (VIP, 80), "S", b"")
}

fn no_hop(tables: &mut portreeve_dataplane::tables::Tables) {
    let strip = |(id, backend): (BackendId, &Backend)| {
        let hop = portreeve_dataplane::tables::route::HopRef::Ask {
            port: portreeve_dataplane::tables::PortId(1),
            addr: backend.addr,
            mtu: 1500,
        };
        (id, Backend { hop, ..*backend })
    };
    tables.backends = Arc::new(tables.backends.iter().map(strip).collect::<Slab<_>>());
    tables.routing = Arc::new(Routing::default());
}

fn no_route(tables: &mut portreeve_dataplane::tables::Tables) {
    let strip = |(id, backend): (BackendId, &Backend)| {
        let hop = portreeve_dataplane::tables::route::HopRef::Unreachable;
        (id, Backend { hop, ..*backend })
    };
    tables.backends = Arc::new(tables.backends.iter().map(strip).collect::<Slab<_>>());
}

fn hop_unresolved() -> World {
    let mut world = World::new();
    world.change(no_hop);
    world.send(0, &syn());
    while world.drops(DropReason::HopUnresolved) == 0 && world.worker.flows().len() == 1 {
        world.turn();
    }
    world
}

fn removed() -> World {
    let mut world = World::new();
    world.send(0, &syn());
    world.change(|tables| {
        let all = tables.frontends.iter().filter_map(|(id, _)| {
            let old = tables.frontends.share(id)?;
            let gone = portreeve_dataplane::tables::Frontend {
                key: old.key,
                mode: old.mode,
                maglev: None,
                snat: Box::new([]),
                left: Box::new([]),
                gone: true,
                policy: Default::default(),
            };
            Some((id, Arc::new(gone)))
        });
        tables.frontends = Arc::new(all.collect::<Frontends>());
    });
    world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x"));
    world
}

fn ambiguous(tables: &mut portreeve_dataplane::tables::Tables) {
    in_mode(tables, Mode::Nat, |_| {});
    let all = tables.nat_backends.iter().map(|(end, _)| (*end, Stateless::Ambiguous));
    tables.nat_backends = Arc::new(all.collect());
}

fn denied(tables: &mut portreeve_dataplane::tables::Tables) {
    in_mode(tables, Mode::Snat, |policy| {
        let deny = [format!("{CLIENT}/32").parse().unwrap()];
        policy.sources = Sources::new(&[], &deny).map(Box::new);
    });
}

fn lease_expired(tables: &mut portreeve_dataplane::tables::Tables) {
    let ended = Deadline::new(BootTime::default());
    tables.deadlines = Arc::new([(addr(VIP), ended)].into_iter().collect());
}

fn no_snat(tables: &mut portreeve_dataplane::tables::Tables) {
    tables.snat = Arc::default();
}

/// Few frames: the tx ring fills before the worker sends.
fn tx_full() -> World {
    let mut world = World::with(Options { frames: 64, ..Options::default() });
    for _ in 0..9 {
        for number in 0..8 {
            let client = (CLIENT, 4000 + number);
            let lane = &mut world.worker.lanes_mut()[0].socket;
            lane.inject(&udp(0, client, (VIP, 53), b"x"));
        }
        world.worker.lanes_mut()[1].socket.hold(true);
        world.worker.turn();
    }
    world
}

/// All frames are in use when a datagram has to be cut.
fn no_frame() -> World {
    // A ring is an eighth of the frames: what both lanes cannot take for receiving is the pool.
    let options = Options { mtus: [9001, 68], stride: 4096, frames: 16, ..Options::default() };
    let mut world = World::with(options);
    let mut packet = udp(0, (CLIENT, 4000), (VIP, 53), &[0; 900]);
    packet[L3 + 6] = 0;
    fix_ipv4(&mut packet);
    world.send(0, &packet);
    world
}

/// Fragments without a first one, until one ends for this reason.
fn late_fragments(reason: DropReason) -> World {
    let mut world = World::new();
    let mut ident = 0_u16;
    while world.drops(reason) == 0 {
        if ident == 0 || reason == DropReason::FragmentsFull {
            let mut packet = datagram();
            packet[L3 + 4..L3 + 6].copy_from_slice(&ident.to_be_bytes());
            packet[L3 + 7] = 100;
            fix_ipv4(&mut packet);
            world.send(0, &packet);
            ident += 1;
        }
        world.turn();
    }
    world
}

/// Reasons that the bytes of one packet give.
fn by_bytes() -> Vec<(DropReason, Cause)> {
    use DropReason as R;
    let mut ethertype = datagram();
    ethertype[12..14].copy_from_slice(&[0x88, 0xcc]);
    let mut header_sum = datagram();
    header_sum[L3 + 10] ^= 0xff;
    let mut sum = ping(CLIENT, VIP, b"data");
    *sum.last_mut().unwrap() ^= 1;
    let mut large_ping = ping(CLIENT, VIP, &[0; 1_400]);
    large_ping[L3 + 6] = 0x20;
    fix_ipv4(&mut large_ping);
    let mut no_next = udp(0, (CLIENT6, 4000), (VIP6, 53), b"");
    no_next[L3 + 6] = 59;
    let mut other_host = syn();
    other_host[5] ^= 0x40;
    let elsewhere = udp(0, (CLIENT, 4000), ("10.0.0.200", 53), b"");
    let mid_flow = tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x");
    let old_ttl = tcp_ttl(0, (CLIENT, 4000), (VIP, 80), "S", b"", 1);
    let unknown_reply = tcp(1, (BACKENDS[0], 8080), (SNAT, 20_001), "A", b"");
    vec![
        (R::Truncated, one(0, datagram()[..30].to_vec())),
        (R::UnknownEthertype, one(0, ethertype)),
        (R::Malformed, one(0, edited(0, 0x44))),
        (R::BadHeaderChecksum, one(0, header_sum)),
        (R::BadChecksum, one(0, sum)),
        (R::ExtensionHeaders, one(0, no_next)),
        (R::ChainTooLong, one(0, vec![0; 1792 * 5])),
        (R::NotOurs, one(0, elsewhere)),
        (R::UnknownProtocol, one(0, edited(9, 132))),
        (R::UnknownPort, one(0, tcp(0, (CLIENT, 4000), (VIP, 82), "S", b""))),
        (R::NoBackend, one(0, tcp(0, (CLIENT, 4000), (VIP, 81), "S", b""))),
        (R::Fragment, one(0, large_ping)),
        (R::BadFragment, one(0, edited(6, 0x20))),
        (R::IcmpError, one(0, icmp(3))),
        (R::IcmpOther, one(0, icmp(13))),
        (R::TtlExceeded, one(0, old_ttl)),
        (R::NoFlow, one(0, mid_flow)),
        (R::ReplyUnknown, one(1, unknown_reply)),
        (R::NotAnnounced, one(1, arp(CLIENT, VIP, 1))),
        (R::NeighbourOther, one(0, arp(CLIENT, VIP, 2))),
        (R::OtherHost, one(0, other_host)),
    ]
}

/// Reasons that the state of the world gives.
fn by_state() -> Vec<(DropReason, Cause)> {
    use DropReason as R;
    vec![
        (R::Removed, Box::new(removed)),
        (
            R::TooBig,
            Box::new(|| {
                let mut world = World::with(Options { mtus: [1500, 1300], ..Options::default() });
                let packet = tcp(0, (CLIENT6, 4000), (VIP6, 80), "S", &[0; 1400]);
                world.send(0, &packet);
                world
            }),
        ),
        (
            R::FlowTableFull,
            Box::new(|| many(Options { flows: 8, ..Options::default() }, syn_of, 9, true)),
        ),
        (R::PortsExhausted, Box::new(|| many(few_ports(), syn_of, 20, true))),
        (R::FirstSyn, Box::new(|| many(few_ports(), syn_of, 20, false))),
        (
            R::ReplyAmbiguous,
            Box::new(|| {
                let mut world = World::new();
                world.change(ambiguous);
                world.send(1, &tcp(1, (BACKENDS[0], 8080), (CLIENT, 4000), "A", b"x"));
                world
            }),
        ),
        (R::SourceDenied, changed(denied, syn())),
        (R::LeaseExpired, changed(lease_expired, arp(CLIENT, VIP, 1))),
        (R::NoSnatAddress, changed(no_snat, syn())),
        (R::NoRoute, changed(no_route, syn())),
        (R::HopUnresolved, Box::new(hop_unresolved)),
        (
            R::WaitingFull,
            Box::new(|| {
                let mut world = World::new();
                world.change(no_hop);
                for number in 0..200 {
                    world.send(0, &syn_of(number));
                }
                world
            }),
        ),
        (R::TxFull, Box::new(tx_full)),
        (R::FragmentsFull, Box::new(|| late_fragments(DropReason::FragmentsFull))),
        (R::FragmentExpired, Box::new(|| late_fragments(DropReason::FragmentExpired))),
        (R::NoFrame, Box::new(no_frame)),
        (
            R::NeighbourLimited,
            Box::new(|| {
                let mut world = World::new();
                while world.drops(R::NeighbourLimited) == 0 {
                    world.send(0, &arp(CLIENT, VIP, 1));
                }
                world
            }),
        ),
    ]
}

#[test]
fn the_icmp_of_one_family_is_an_unknown_protocol_in_the_other() {
    let mut v4 = ping(CLIENT, VIP, b"data");
    v4[L3 + 9] = 58;
    fix_ipv4(&mut v4);
    let mut v6 = udp(0, (CLIENT6, 4000), (VIP6, 53), b"");
    v6[L3 + 6] = 1;
    for packet in [v4, v6] {
        let world = one(0, packet)();
        assert_eq!(world.drops(DropReason::UnknownProtocol), 1);
        world.assert_conserved();
    }
}

#[test]
fn every_reason_has_a_packet() {
    let causes: Vec<_> = by_bytes().into_iter().chain(by_state()).collect();
    // These take several workers: tests/handover.rs has their packets.
    let between = [DropReason::HandoverFull, DropReason::HandedOverTwice];
    for reason in DropReason::ALL.iter().filter(|reason| !between.contains(reason)) {
        let (_, cause) = causes.iter().find(|(r, _)| r == reason).unwrap_or_else(|| {
            panic!("{} has no packet here", reason.name());
        });
        let world = cause();
        assert!(world.drops(*reason) > 0, "{}", reason.name());
        world.assert_conserved();
    }
}
