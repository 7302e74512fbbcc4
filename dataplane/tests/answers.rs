//! Golden packets that we answer ourselves, read by an implementation that is not ours. The whole worker loop runs, on simulated rings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/packet.rs"]
mod packet;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/story.rs"]
mod story;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/world.rs"]
mod world;

use packet::*;
use portreeve_dataplane::addr::Mac;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::PortId;
use story::*;
use world::*;

#[test]
fn arp_and_ndp_are_answered_for_what_is_announced_on_the_port() {
    let mut world = World::new();
    let sent = world.send(0, &arp(CLIENT, VIP, 1));
    let reply = &sent[0].1;
    assert_eq!(sent[0].0, 0);
    assert_eq!(reply[..6], CLIENT_MAC);
    assert_eq!(reply[20..22], [0, 2]);
    assert_eq!(reply[22..28], PORT_MACS[0]);
    assert_eq!(reply[28..32], addr(VIP).v4_octets());
    assert_eq!(reply[38..42], addr(CLIENT).v4_octets());
    assert!(world.send(1, &arp("10.1.0.21", VIP, 1)).is_empty(), "announced on port 0 only");
    assert_eq!(world.drops(DropReason::NotAnnounced), 1);
    assert!(world.send(0, &arp(CLIENT, "10.0.0.55", 1)).is_empty());
    assert_eq!(world.drops(DropReason::NotOurs), 1);
    assert!(world.send(0, &arp(CLIENT, VIP, 2)).is_empty(), "a reply asks for nothing");
    assert_eq!(world.drops(DropReason::NeighbourOther), 1);
    let sent = world.send(0, &solicitation(CLIENT6, VIP6, 255));
    let seen = read(&sent[0].1);
    assert_eq!((seen.src, seen.dst, seen.ttl), (addr(VIP6), addr(CLIENT6), 255));
    let What::Icmp { kind: 136, code: 0, rest } = seen.what else { panic!("{:?}", seen.what) };
    assert_eq!(rest[0], 0x60, "solicited, override");
    assert_eq!(rest[4..20], *addr(VIP6).octets());
    assert_eq!(rest[20..22], [2, 1]);
    assert_eq!(rest[22..28], PORT_MACS[0]);
    let probe = read(&world.send(0, &solicitation("::", VIP6, 255))[0].1);
    assert_eq!((probe.dst, probe.dst_mac), (addr("ff02::1"), [0x33, 0x33, 0, 0, 0, 1]));
    world.assert_conserved();
}

#[test]
fn a_station_that_claims_an_address_of_ours_is_told_of() {
    let mut world = World::new();
    let claims = |world: &World| world.claimed.try_iter().collect::<Vec<_>>();
    // Gratuitous ARP as request and as reply, and an advertisement.
    for claim in [arp(VIP, VIP, 1), arp(VIP, VIP, 2)] {
        assert!(world.send(0, &claim).is_empty());
        assert_eq!(claims(&world), [(PortId(0), addr(VIP), Mac(CLIENT_MAC))]);
    }
    let advertisement = advertisement("fe80::9", VIP6, CLIENT_MAC);
    assert!(world.send(0, &advertisement).is_empty());
    assert_eq!(claims(&world), [(PortId(0), addr(VIP6), Mac(CLIENT_MAC))]);
    assert_eq!(world.drops(DropReason::NeighbourOther), 3);
    // Where we do not announce it, it may well be somebody else's; our own words are no claim, and
    // addresses of others are none of our business.
    let mut own = arp(VIP, VIP, 1);
    own[22..28].copy_from_slice(&PORT_MACS[1]);
    for (port, other) in [(1, arp(VIP, VIP, 1)), (0, own), (0, arp(CLIENT, VIP, 2))] {
        assert!(world.send(port, &other).is_empty());
        assert_eq!(claims(&world), []);
    }
    world.send(0, &self::advertisement("fe80::9", CLIENT6, CLIENT_MAC));
    assert_eq!((claims(&world), world.drops(DropReason::NotOurs)), (vec![], 1));
    for _ in 0..1_000 {
        world.send(0, &arp(VIP, VIP, 1));
    }
    assert!(claims(&world).len() < 500, "a flood of claims is not passed on");
    world.assert_conserved();
}

/// As it is sent to all nodes when somebody has taken an address.
fn advertisement(from: &str, target: &str, mac: [u8; 6]) -> Vec<u8> {
    let mut packet = solicitation(from, target, 255);
    packet[6..12].copy_from_slice(&mac);
    packet[54] = 136;
    packet
}

#[test]
fn a_solicitation_from_beyond_the_link_is_not_answered() {
    let mut world = World::new();
    assert!(world.send(0, &solicitation(CLIENT6, VIP6, 254)).is_empty());
    world.assert_conserved();
}

#[test]
fn a_ping_is_answered_with_its_data() {
    for (client, vip, reply) in [(CLIENT, VIP, 0), (CLIENT6, VIP6, 129)] {
        let mut world = World::new();
        let seen = read(&world.send(0, &ping(client, vip, b"data"))[0].1);
        assert_eq!((seen.src, seen.dst, seen.ttl), (addr(vip), addr(client), 64));
        let rest = [&[0, 7, 0, 1][..], b"data"].concat();
        assert_eq!(seen.what, What::Icmp { kind: reply, code: 0, rest });
        let mut wrong = ping(client, vip, b"data");
        *wrong.last_mut().unwrap() ^= 1;
        assert!(world.send(0, &wrong).is_empty());
        assert_eq!(world.drops(DropReason::BadChecksum), 1);
        world.assert_conserved();
    }
}

#[test]
fn an_unknown_port_and_a_service_without_backends_refuse() {
    for (client, vip, unreachable) in [(CLIENT, VIP, (3, 3)), (CLIENT6, VIP6, (1, 4))] {
        let mut world = World::new();
        for port in [82, 81] {
            let seen = read(&world.send(0, &tcp(0, (client, 4000), (vip, port), "S", b""))[0].1);
            let What::Tcp { seq: 0, ack: 1001, flags, .. } = &seen.what else { panic!("{seen:?}") };
            assert_eq!((seen.src, flags.as_str()), (addr(vip), "AR"));
        }
        let packet = udp(0, (client, 4000), (vip, 54), b"who is there");
        let seen = read(&world.send(0, &packet)[0].1);
        let What::Icmp { kind, code, rest } = seen.what else { panic!() };
        assert_eq!((kind, code), unreachable);
        assert_eq!(rest[4..], packet[L3..], "quotes the packet as received");
        assert!(world.send(0, &tcp(0, (client, 4000), (vip, 82), "RA", b"")).is_empty());
        assert_eq!(world.drops(DropReason::UnknownPort), 3);
        assert_eq!(world.drops(DropReason::NoBackend), 1);
        assert_eq!(world.counters.refused.get(), 3);
        world.assert_conserved();
    }
}

/// Sends `packet` so often at once and checks that no more than the rate was answered: a full
/// bucket, and what flowed in meanwhile.
fn assert_limited(packet: &[u8], times: u64, rate: u64, reason: DropReason) -> World {
    let mut world = World::new();
    #[expect(clippy::disallowed_methods, reason = "the bucket fills by the clock")]
    let began = std::time::Instant::now();
    let answered: u64 = (0..times).map(|_| world.send(0, packet).len() as u64).sum();
    let gained = (began.elapsed().as_millis() as u64 + 1) * rate / 1000;
    assert!(answered >= rate.min(times) && answered <= rate + gained, "{answered}");
    assert_eq!(world.counters.answers_limited.get(), times - answered);
    assert!(world.drops(reason) >= times - answered);
    world.assert_conserved();
    world
}

#[test]
fn our_own_answers_are_limited() {
    let packet = tcp(0, (CLIENT, 4000), (VIP, 82), "S", b"");
    let world = assert_limited(&packet, 3000, 1000, DropReason::UnknownPort);
    assert_eq!(world.drops(DropReason::UnknownPort), 3000, "answered or not");
    assert_limited(&arp(CLIENT, VIP, 1), 20_000, 10_000, DropReason::NeighbourLimited);
}

#[test]
fn a_frame_to_another_station_is_left_alone() {
    let mut world = World::new();
    let mut packet = tcp(0, (CLIENT, 4000), (VIP, 80), "S", b"");
    packet[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
    assert!(world.send(0, &packet).is_empty());
    assert_eq!(world.drops(DropReason::OtherHost), 1);
}

#[test]
fn errors_are_not_sent_for_packets_to_a_group() {
    let mut world = World::new();
    let mut packet = tcp(0, (CLIENT, 4000), (VIP, 82), "S", b"");
    packet[..6].fill(0xff);
    assert!(world.send(0, &packet).is_empty());
    assert_eq!(world.drops(DropReason::UnknownPort), 1);
}

#[test]
fn a_packet_in_the_middle_of_nothing_is_reset() {
    let mut world = World::new();
    let seen = read(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "AP", b"lost"))[0].1);
    let What::Tcp { seq: 5000, flags, .. } = &seen.what else { panic!("{seen:?}") };
    assert_eq!(flags, "R");
    assert_eq!(world.drops(DropReason::NoFlow), 1);
    let seen = read(&world.send(1, &tcp(1, (BACKENDS[0], 8080), (SNAT, 20_001), "A", b""))[0].1);
    assert_eq!((seen.src, seen.dst), (addr(SNAT), addr(BACKENDS[0])));
    assert_eq!(world.drops(DropReason::ReplyUnknown), 1);
}

#[test]
fn ttl_ends_here_with_the_ports_own_address() {
    for (client, vip, own, kind) in [(CLIENT, VIP, PORT_ADDRESS, 11), (CLIENT6, VIP6, "fd00::1", 3)]
    {
        let mut world = World::new();
        let packet = tcp_ttl(0, (client, 4000), (vip, 80), "S", b"", 1);
        let seen = read(&world.send(0, &packet)[0].1);
        assert_eq!(seen.src, addr(own));
        let What::Icmp { kind: got, code: 0, rest } = seen.what else { panic!() };
        assert_eq!((got, &rest[4..]), (kind, &packet[L3..]));
        assert_eq!(world.drops(DropReason::TtlExceeded), 1);
        assert_eq!(world.worker.flows().len(), 0, "a dropped packet leaves no flow behind");
    }
}

#[test]
fn truncation_at_every_length_is_a_drop_or_a_forward_but_never_a_panic() {
    for packet in [
        tcp(0, (CLIENT, 4000), (VIP, 80), "S", b"data"),
        udp(0, (CLIENT6, 4000), (VIP6, 53), b"data"),
        ping(CLIENT6, VIP6, b"data"),
        arp(CLIENT, VIP, 1),
        solicitation(CLIENT6, VIP6, 255),
    ] {
        let mut world = World::new();
        for length in 0..packet.len() {
            world.send(0, &packet[..length]);
        }
        world.assert_conserved();
    }
}

#[test]
fn control_can_announce_and_ask() {
    use portreeve_dataplane::tables::PortId;
    use portreeve_dataplane::worker::command::{Command, ListFlows};
    let mut world = World::new();
    let syn = open(&mut world, (CLIENT, 4000), VIP);
    for text in [VIP, VIP6] {
        let (addr, port) = (addr(text), PortId(0));
        world.commands.send(Command::Announce { addr, port }).unwrap();
    }
    let (tell, told) = std::sync::mpsc::channel();
    let reply = Box::new(move |flows, next| tell.send((flows, next)).unwrap());
    let list = ListFlows { cursor: 0, places: 8, buffer: Vec::with_capacity(8), reply };
    world.commands.send(Command::ListFlows(list)).unwrap();
    let sent = world.turn();
    let [(0, arp), (0, advert)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((&arp[..6], &arp[20..22]), (&[0xff; 6][..], &[0, 1][..]), "a broadcast request");
    assert_eq!(
        (&arp[28..32], &arp[38..42]),
        (&addr(VIP).v4_octets()[..], &addr(VIP).v4_octets()[..])
    );
    let seen = read(advert);
    assert_eq!((seen.src, seen.dst, seen.ttl), (addr(VIP6), addr("ff02::1"), 255));
    let (flows, None) = told.try_recv().unwrap() else { panic!("one part is enough") };
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].client, (addr(CLIENT), 4000));
    assert_eq!(flows[0].vip, Some((addr(VIP), 80)));
    assert_eq!(flows[0].backend, (syn.dst, 8080));
    assert_eq!(flows[0].snat, (Some(addr(SNAT)), tcp_of(&syn).0));
}

#[test]
fn packets_that_nobody_can_have_sent_are_dropped() {
    let mut routed = udp(0, (CLIENT6, 4000), (VIP6, 53), b"");
    let datagram = routed.split_off(L3 + 40);
    routed[L3 + 6] = 43;
    routed[L3 + 5] += 8;
    routed.extend([17, 0, 4, 1, 0, 0, 0, 0]);
    routed.extend(datagram);
    let mut no_sum = udp(0, (CLIENT6, 4000), (VIP6, 53), b"x");
    no_sum[L3 + 46..L3 + 48].fill(0);
    let cases = [
        ("from nobody", tcp(0, ("::", 4000), (VIP6, 80), "S", b""), DropReason::Malformed),
        ("from loopback", tcp(0, ("::1", 4000), (VIP6, 80), "S", b""), DropReason::Malformed),
        ("from 127/8", tcp(0, ("127.0.0.1", 4000), (VIP, 80), "S", b""), DropReason::Malformed),
        ("segments left", routed, DropReason::ExtensionHeaders),
        ("UDP without checksum", no_sum, DropReason::BadChecksum),
    ];
    for (label, packet, reason) in cases {
        let mut world = World::new();
        assert!(world.send(0, &packet).is_empty(), "{label}");
        assert_eq!(world.drops(reason), 1, "{label}");
        assert!(world.worker.flows().is_empty(), "{label} leaves no flow behind");
    }
}
