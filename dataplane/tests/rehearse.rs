//! What a rehearsal says is what a packet gets: the same question goes to a worker on simulated
//! rings as a real packet, in worlds that are whole and in worlds that lack something.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/packet.rs"]
mod packet;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use packet::{Seen, What as Read, read};
use portreeve_dataplane::addr::{self as addr_type, Mac};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::pipeline::rehearse::{
    FlowName, KnownFlow, Probe, Rehearsal, SOMEBODY, Verdict, What, choice, flow_name,
};
use portreeve_dataplane::tables::frontend::FrontendKey;
use portreeve_dataplane::tables::route::HopRef;
use portreeve_dataplane::tables::*;
use portreeve_dataplane::time::BootTime;
use portreeve_dataplane::wire::tcp::Flags;
use portreeve_dataplane::worker::command::Command;
use proptest::prelude::*;
use world::*;

/// What the worlds lack.
#[derive(Debug, Clone, Copy)]
enum Lack {
    Nothing,
    RouteToBackends,
    MacOfBackends,
    SnatAddresses,
    Backends,
    Service,
    Lease,
}

fn lack(tables: &mut Tables, lack: Lack) {
    match lack {
        Lack::Nothing => {}
        Lack::RouteToBackends => each_backend(tables, |b| b.hop = HopRef::Unreachable),
        Lack::MacOfBackends => {
            each_backend(tables, |b| {
                b.hop = HopRef::Ask { port: PortId(1), addr: b.addr, mtu: 1500 };
            });
            tables.routing = Arc::new(Routing::new(2, [], []));
        }
        Lack::SnatAddresses => tables.snat = Arc::default(),
        Lack::Backends => tables.backends = Arc::default(),
        Lack::Service => tables.frontends = Arc::default(),
        Lack::Lease => {
            let ended = [VIP, VIP6].map(|vip| (addr(vip), Deadline::new(BootTime::default())));
            tables.deadlines = Arc::new(ended.into_iter().collect());
        }
    }
}

fn each_backend(tables: &mut Tables, change: impl Fn(&mut Backend)) {
    let all: Vec<_> = tables.backends.iter().map(|(id, b)| (id, *b)).collect();
    let changed = all.into_iter().map(|(id, mut backend)| {
        change(&mut backend);
        (id, backend)
    });
    tables.backends = Arc::new(changed.collect());
}

fn lacks() -> impl Strategy<Value = Lack> {
    use Lack::*;
    prop_oneof![
        6 => Just(Nothing),
        1 => Just(RouteToBackends),
        1 => Just(MacOfBackends),
        1 => Just(SnatAddresses),
        1 => Just(Backends),
        1 => Just(Service),
        1 => Just(Lease),
    ]
}

fn whats() -> impl Strategy<Value = What> {
    let port = || prop_oneof![Just(80_u16), Just(81), Just(53), 1_u16.., 20_000_u16..30_000];
    let flags = prop_oneof![
        4 => Just(Flags(Flags::SYN)),
        1 => any::<u8>().prop_map(Flags),
    ];
    prop_oneof![
        4 => (1_u16.., port(), flags).prop_map(|(src, dst, flags)| What::Tcp(src, dst, flags)),
        3 => (1_u16.., port()).prop_map(|(src, dst)| What::Udp(src, dst)),
        1 => Just(What::WhoHas),
    ]
}

fn probes() -> impl Strategy<Value = (usize, Probe)> {
    let clients = [[CLIENT, "10.9.9.9", BACKENDS[0]], [CLIENT6, "fd09::9", BACKENDS6[0]]];
    let targets = [[VIP, SNAT, "10.0.0.77"], [VIP6, SNAT6, "fd00::77"]];
    let ttl = prop_oneof![4 => Just(64_u8), 1 => 0_u8..3];
    let len = prop_oneof![3 => Just(0_u16), 1 => 0_u16..1500];
    (0..2_usize, 0..2_usize, 0..3_usize, 0..3_usize, whats(), ttl, len, any::<bool>()).prop_map(
        move |(port, family, client, target, what, ttl, len, ours)| {
            let to =
                if ours || what == What::WhoHas { PORT_MACS[port] } else { [2, 9, 9, 9, 9, 9] };
            let (src, dst) = (addr(clients[family][client]), addr(targets[family][target]));
            (port, Probe { from: SOMEBODY, to: Mac(to), src, dst, what, ttl, len })
        },
    )
}

/// What the worker did, in a rehearsal's words; checksums of what it sent are not looked at, since
/// the packet had none.
#[derive(Debug, PartialEq)]
enum Outcome {
    Sent { port: usize, packet: Vec<u8> },
    Waits(PortId, addr_type::Addr),
    Answered,
    Ended { reason: DropReason, told: bool },
}

fn live(world: &mut World, port: usize, frame: &[u8]) -> Outcome {
    let before: Vec<u64> = DropReason::ALL.iter().map(|reason| world.drops(*reason)).collect();
    let (replied, refused) = (world.counters.replied.get(), world.counters.refused.get());
    let mut sent = world.send(port, frame);
    world.assert_conserved();
    let rose =
        DropReason::ALL.iter().zip(before).find(|(reason, old)| world.drops(**reason) > *old);
    if let Some((reason, _)) = rose {
        return Outcome::Ended { reason: *reason, told: world.counters.refused.get() > refused };
    }
    if world.counters.replied.get() > replied {
        return Outcome::Answered;
    }
    match sent.pop() {
        Some((port, packet)) => Outcome::Sent { port, packet },
        None => {
            let (port, addr) = world.asked.try_recv().expect("what waits was asked for");
            Outcome::Waits(port, addr)
        }
    }
}

fn agrees(verdict: &Verdict, outcome: &Outcome) -> bool {
    match (verdict, outcome) {
        (Verdict::Forward(translate, None), Outcome::Sent { port, packet }) => {
            let (addrs, ports) = ends(packet);
            let same_port = usize::from(translate.next.port.0) == *port;
            let mac = translate.next.mac().map(|mac| mac.0);
            // The rehearsal takes a source port of its own.
            same_port
                && mac.is_some_and(|mac| packet[..6] == mac)
                && addrs == (translate.src.0, translate.dst.0)
                && ports.1 == translate.dst.1
        }
        (Verdict::Forward(translate, _), Outcome::Waits(port, addr)) => {
            (translate.next.port, translate.next.addr, translate.next.mac()) == (*port, *addr, None)
        }
        (Verdict::Answer, Outcome::Answered) => true,
        (Verdict::Refuse(reason, _), Outcome::Ended { reason: why, told }) => {
            reason == why && *told
        }
        (Verdict::Drop(reason), Outcome::Ended { reason: why, told }) => reason == why && !*told,
        _ => false,
    }
}

/// Addresses and transport ports of a packet, without a look at its checksums.
fn ends(packet: &[u8]) -> ((addr_type::Addr, addr_type::Addr), (u16, u16)) {
    let v4 = packet[12..14] == [8, 0];
    let addr = |at: usize| {
        if v4 {
            addr_type::Addr::v4(packet[at..at + 4].try_into().unwrap())
        } else {
            addr_type::Addr::v6(packet[at..at + 16].try_into().unwrap())
        }
    };
    let (src, dst, l4) = if v4 { (26, 30, 34) } else { (22, 38, 54) };
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    ((addr(src), addr(dst)), (port(l4), port(l4 + 2)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_rehearsal_says_what_a_packet_gets((port, probe) in probes(), missing in lacks()) {
        let mut world = World::new();
        world.change(|tables| lack(tables, missing));
        let tables = world.publisher.current().clone();
        let frame = probe.frame();
        let mut rehearsal = Rehearsal::new(&tables);
        let (_, verdict) = rehearsal.run(PortId(port as u8), &frame);
        // A NDP answer is written for a right checksum only, which no rehearsal looks at.
        let answer = [Verdict::Answer, Verdict::Drop(DropReason::LeaseExpired)].contains(&verdict);
        prop_assume!(!(answer && probe.dst.family() == addr_type::Family::V6));
        let outcome = live(&mut world, port, &frame);
        prop_assert!(agrees(&verdict, &outcome), "{probe:?}: {verdict:?} but {outcome:?}");
    }
}

fn ask(world: &mut World, name: FlowName) -> Option<KnownFlow> {
    let (tell, told) = crossbeam::channel::bounded(1);
    let reply = Box::new(move |found| tell.send(found).unwrap());
    world.commands.send(Command::FindFlow(name, reply)).unwrap();
    world.turn();
    told.recv().unwrap()
}

fn probe(port: usize, src: &str, dst: &str, what: What) -> Probe {
    let to = Mac(PORT_MACS[port]);
    Probe { from: SOMEBODY, to, src: addr(src), dst: addr(dst), what, ttl: 64, len: 0 }
}

#[test]
fn a_live_flow_is_followed_in_both_directions() {
    let mut world = World::new();
    let sent = world.send(0, &packet::tcp(0, (CLIENT, 4000), (VIP, 80), "S", b""));
    let syn = read(&sent[0].1);
    let Seen { dst: backend, what: Read::Tcp { src: snat_port, .. }, .. } = syn else { panic!() };
    let tables = world.publisher.current().clone();

    let forward = probe(0, CLIENT, VIP, What::Tcp(4000, 80, Flags(Flags::ACK))).frame();
    let back = What::Tcp(8080, snat_port, Flags(Flags::ACK));
    let back = probe(1, &backend.to_string(), SNAT, back).frame();
    for (port, frame) in [(0, &forward), (1, &back)] {
        let name = flow_name(&tables, PortId(port), frame).unwrap();
        let known = ask(&mut world, name).expect("the worker has the flow");
        assert_eq!((known.backend_at, known.snat_port), ((backend, 8080), snat_port));
        let mut rehearsal = Rehearsal::new(&tables);
        let (_, stranger) = rehearsal.run(PortId(port), frame);
        assert!(stranger.reason().is_some(), "without the flow: {stranger:?}");
        rehearsal.know(&known).unwrap();
        let (_, verdict) = rehearsal.run(PortId(port), frame);
        let outcome = live(&mut world, usize::from(port), frame);
        assert!(agrees(&verdict, &outcome), "{verdict:?} but {outcome:?}");
        let Verdict::Forward(translate, None) = verdict else { panic!("{verdict:?}") };
        assert!([translate.src.1, translate.dst.1].iter().any(|p| [snat_port, 80].contains(p)));
    }
    let other = probe(0, CLIENT, VIP, What::Tcp(4001, 80, Flags(Flags::SYN))).frame();
    assert_eq!(ask(&mut world, flow_name(&tables, PortId(0), &other).unwrap()), None);
}

#[test]
fn the_choice_named_is_the_backend_that_the_packet_gets() {
    for client in 1..200 {
        let mut world = World::new();
        let tables = world.publisher.current().clone();
        let key = FrontendKey { addr: addr(VIP), port: 80, proto: addr_type::Proto::Tcp };
        let (_, frontend) = tables.frontends.find(&key).unwrap();
        let named = choice(&tables, (addr(CLIENT), client), frontend).unwrap();
        assert_eq!((named.size, named.state), (251, Some(BackendState::Active)));
        let sent = world.send(0, &packet::tcp(0, (CLIENT, client), (VIP, 80), "S", b""));
        assert_eq!(read(&sent[0].1).dst, tables.backends.get(named.backend).unwrap().addr);
    }
}
