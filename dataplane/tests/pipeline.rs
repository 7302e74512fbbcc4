//! Golden packets: what goes in, what comes out, byte by byte read by an implementation that is
//! not ours. The whole worker loop runs, on simulated rings.

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
use portreeve_dataplane::drop_reason::DropReason;
use story::*;
use world::*;

#[test]
fn a_syn_goes_to_a_backend_from_our_address_and_the_answer_comes_from_the_vip() {
    for (client, vip, snat) in [(CLIENT, VIP, SNAT), (CLIENT6, VIP6, SNAT6)] {
        let mut world = World::new();
        let syn = open(&mut world, (client, 4000), vip);
        let (snat_port, backend_port, flags) = tcp_of(&syn);
        assert_eq!((syn.src, backend_port, flags), (addr(snat), 8080, "S"));
        assert!((20_000..30_000).contains(&snat_port));
        assert_eq!((syn.src_mac, syn.ttl), (PORT_MACS[1], 63));
        assert!(BACKEND_MACS.contains(&syn.dst_mac));
        let backend = text(syn.dst);
        let reply = tcp(1, (&backend, 8080), (snat, snat_port), "SA", b"");
        let sent = world.send(1, &reply);
        let [(0, packet)] = &sent[..] else { panic!("one packet to the client: {sent:?}") };
        let seen = read(packet);
        assert_eq!((seen.src, seen.dst, seen.ttl), (addr(vip), addr(client), 63));
        assert_eq!(tcp_of(&seen), (80, 4000, "SA"));
        assert_eq!((seen.src_mac, seen.dst_mac), (PORT_MACS[0], CLIENT_MAC));
        world.assert_conserved();
    }
}

#[test]
fn packets_of_one_connection_keep_backend_and_port() {
    let mut world = World::new();
    let first = open(&mut world, (CLIENT, 4000), VIP);
    for length in [0, 1, 100, 1459] {
        let payload = vec![7; length];
        let sent = world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "AP", &payload));
        let seen = read(&sent[0].1);
        assert_eq!((seen.dst, tcp_of(&seen).0), (first.dst, tcp_of(&first).0));
        let What::Tcp { payload: got, .. } = seen.what else { panic!() };
        assert_eq!(got, payload);
    }
}

#[test]
fn udp_goes_both_ways() {
    for (client, vip, snat) in [(CLIENT, VIP, SNAT), (CLIENT6, VIP6, SNAT6)] {
        let mut world = World::new();
        let sent = world.send(0, &udp(0, (client, 4000), (vip, 53), b"question"));
        let seen = read(&sent[0].1);
        let What::Udp { src, dst: 8080, payload } = &seen.what else { panic!("{seen:?}") };
        assert_eq!(payload, b"question");
        let backend = text(seen.dst);
        let sent = world.send(1, &udp(1, (&backend, 8080), (snat, *src), b"answer"));
        let seen = read(&sent[0].1);
        assert_eq!((seen.src, seen.dst), (addr(vip), addr(client)));
        assert_eq!(seen.what, What::Udp { src: 53, dst: 4000, payload: b"answer".to_vec() });
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero_in_ipv4_and_is_refused_in_ipv6() {
    let mut world = World::new();
    let mut packet = udp(0, (CLIENT, 4000), (VIP, 53), b"no checksum");
    packet[L3 + 26..L3 + 28].fill(0);
    let sent = world.send(0, &packet);
    assert_eq!(sent[0].1[L3 + 26..L3 + 28], [0, 0]);
    let mut packet = udp(0, (CLIENT6, 4000), (VIP6, 53), b"no checksum");
    packet[L3 + 46..L3 + 48].fill(0);
    assert!(world.send(0, &packet).is_empty());
    assert_eq!(world.drops(DropReason::BadChecksum), 1);
}

/// Leaves only the pseudo-header's sum in the field, as a sender with checksum offload does.
fn unfinish(packet: &mut [u8], offset: usize) {
    let v6 = packet[12..14] == [0x86, 0xdd];
    let (addresses, l4) = if v6 { (L3 + 8..L3 + 40, L3 + 40) } else { (L3 + 12..L3 + 20, L3 + 20) };
    let proto = if v6 { packet[L3 + 6] } else { packet[L3 + 9] };
    let mut sum = u32::from(proto) + (packet.len() - l4) as u32;
    for word in packet[addresses].chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[l4 + offset..l4 + offset + 2].copy_from_slice(&(sum as u16).to_be_bytes());
}

#[test]
fn unfinished_checksums_are_finished_also_over_chains_that_end_on_odd_bytes() {
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        let mut world =
            World::with(Options { mtus: [9001, 9001], stride: 4096, ..Options::default() });
        open(&mut world, (client, 4000), vip);
        for length in [1_usize, 2, 999, 3785, 3787, 8001] {
            let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut packet = tcp(0, (client, 4000), (vip, 80), "AP", &payload);
            unfinish(&mut packet, 16);
            let sent = world.send(0, &packet);
            let What::Tcp { payload: got, .. } = read(&sent[0].1).what else { panic!() };
            assert_eq!(got, payload);
        }
        assert_eq!(world.counters.checksums_finished.get(), 6);
        let mut packet = udp(0, (client, 4000), (vip, 53), b"odd");
        unfinish(&mut packet, 6);
        read(&world.send(0, &packet)[0].1);
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let mut world = World::new();
    let mut packet = udp(0, (CLIENT, 4000), (VIP, 53), b"payload");
    let last = packet.len() - 1;
    packet[last] ^= 1;
    let mut sent = world.send(0, &packet);
    let got = &mut sent[0].1;
    let last = got.len() - 1;
    got[last] ^= 1;
    read(got);
}

#[test]
fn ethernet_padding_is_cut_off() {
    let mut world = World::new();
    let mut packet = udp(0, (CLIENT, 4000), (VIP, 53), b"x");
    packet.resize(60, 0xaa);
    assert_eq!(world.send(0, &packet)[0].1.len(), 14 + 20 + 8 + 1);
}

#[test]
fn too_big_is_answered_with_the_mtu_or_cut_into_fragments() {
    let small_out =
        || World::with(Options { mtus: [9001, 1300], stride: 4096, ..Options::default() });
    for (client, vip) in [(CLIENT, VIP), (CLIENT6, VIP6)] {
        let mut world = small_out();
        open(&mut world, (client, 4000), vip);
        let v4 = addr(client).is_v4();
        let mut packet = tcp(0, (client, 4000), (vip, 80), "AP", &[1; 2000]);
        if v4 {
            packet[L3 + 6] = 0x40;
            fix_ipv4(&mut packet);
        }
        let seen = read(&world.send(0, &packet)[0].1);
        let What::Icmp { kind, code, rest } = seen.what else { panic!() };
        assert_eq!((kind, code), if v4 { (3, 4) } else { (2, 0) });
        assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), 1300);
        assert_eq!(seen.src, addr(vip));
        assert_eq!(world.drops(DropReason::TooBig), 1);
        world.assert_conserved();
    }
    let mut world = small_out();
    let payload: Vec<u8> = (0..4000_u32).map(|i| i as u8).collect();
    let mut packet = udp(0, (CLIENT, 4000), (VIP, 53), &payload);
    packet[L3 + 6] = 0;
    fix_ipv4(&mut packet);
    let pieces = world.send(0, &packet);
    let (mut whole, mut first) = (Vec::new(), None);
    for (i, (_, piece)) in pieces.iter().enumerate() {
        assert!(piece.len() <= 1314);
        let seen = read(piece);
        let What::Fragment { offset, more, payload, ident } = seen.what else { panic!() };
        assert_eq!((offset, more), (whole.len(), i + 1 < pieces.len()));
        assert_eq!(*first.get_or_insert(ident), ident, "one identification for all");
        whole.extend(payload);
    }
    assert_eq!((whole.len(), &whole[8..]), (8 + 4000, &payload[..]));
    world.assert_conserved();
}

#[test]
fn a_removed_backend_resets_both_ends_and_udp_chooses_anew() {
    let mut world = World::new();
    let syn = open(&mut world, (CLIENT, 4000), VIP);
    let sent = world.send(0, &udp(0, (CLIENT, 4000), (VIP, 53), b"1"));
    let first_udp = read(&sent[0].1).dst;
    world.change(|tables| {
        let backends = tables.backends.iter().map(|(id, backend)| {
            let mut backend = *backend;
            if backend.addr == syn.dst || backend.addr == first_udp {
                backend.state = portreeve_dataplane::tables::BackendState::Gone;
            }
            (id, backend)
        });
        tables.backends = std::sync::Arc::new(backends.collect());
    });
    let sent = world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "AP", b"more"));
    let to_client = read(&sent.iter().find(|(port, _)| *port == 0).unwrap().1);
    let to_backend = read(&sent.iter().find(|(port, _)| *port == 1).unwrap().1);
    let What::Tcp { seq: 5000, flags, .. } = &to_client.what else { panic!("{to_client:?}") };
    assert_eq!((to_client.src, flags.as_str()), (addr(VIP), "R"));
    let What::Tcp { seq: 1000, ack: 5000, flags, .. } = &to_backend.what else {
        panic!("{to_backend:?}")
    };
    assert_eq!((to_backend.dst, flags.as_str()), (syn.dst, "AR"));
    assert_eq!(world.drops(DropReason::Removed), 1);
    assert_eq!(world.counters.originated.get(), 1);
    world.assert_conserved();
}

#[test]
fn a_packet_for_a_hop_without_mac_waits_and_goes_out_when_it_is_known() {
    let mut world = World::new();
    let stranger = "10.0.0.77";
    let syn = open(&mut world, (stranger, 4000), VIP);
    let backend = text(syn.dst);
    let reply = tcp(1, (&backend, 8080), (SNAT, tcp_of(&syn).0), "SA", b"");
    assert!(world.send(1, &reply).is_empty());
    assert_eq!(world.asked.try_recv().unwrap().1, addr(stranger));
    assert!(world.send(1, &reply).is_empty());
    assert!(world.asked.try_recv().is_err(), "asked once");
    world.change(|tables| {
        let hops: Vec<_> = tables.routing.hops().map(|(id, hop)| (id, *hop)).collect();
        let new = (portreeve_dataplane::tables::HopId::new(9, 0), hop(0, stranger, Some([2; 6])));
        let routes = ["10.0.0.0/24".parse().unwrap()].map(|net| {
            let port = Some(portreeve_dataplane::tables::PortId(0));
            (net, portreeve_dataplane::tables::Route { port, gateway: None, mtu: None })
        });
        let routing =
            portreeve_dataplane::tables::Routing::new(2, routes, hops.into_iter().chain([new]));
        tables.routing = std::sync::Arc::new(routing);
    });
    let sent = world.turn();
    assert_eq!(sent.len(), 2);
    assert_eq!(read(&sent[0].1).dst_mac, [2; 6]);
    world.assert_conserved();
}

#[test]
fn each_kind_of_garbage_has_its_reason() {
    let good = || udp(0, (CLIENT, 4000), (VIP, 53), b"payload");
    let edit = |at: usize, value: u8| {
        let mut packet = good();
        packet[L3 + at] = value;
        fix_ipv4(&mut packet);
        packet
    };
    let mut bad_sum = good();
    bad_sum[L3 + 10] ^= 0xff;
    let mut ethertype = good();
    ethertype[12..14].copy_from_slice(&[0x88, 0xcc]);
    let mut long_chain = good();
    long_chain.resize(1793 * 3, 0);
    let mut icmp_error = ping(CLIENT, VIP, &[0; 28]);
    icmp_error[L3 + 20] = 3;
    let mut icmp_other = icmp_error.clone();
    icmp_other[L3 + 20] = 13;
    let mut ext = udp(0, (CLIENT6, 4000), (VIP6, 53), &[60; 200]);
    ext[L3 + 6] = 59;
    let cases: [(&str, Vec<u8>, DropReason); 14] = [
        ("half an Ethernet header", good()[..9].to_vec(), DropReason::Truncated),
        ("half an IP header", good()[..20].to_vec(), DropReason::Truncated),
        ("shorter than it says", good()[..40].to_vec(), DropReason::Truncated),
        ("EtherType", ethertype, DropReason::UnknownEthertype),
        ("version", edit(0, 0x65), DropReason::Malformed),
        ("header length", edit(0, 0x44), DropReason::Malformed),
        ("source is a group", edit(12, 239), DropReason::Malformed),
        ("UDP length", edit(24, 0xff), DropReason::Malformed),
        ("header checksum", bad_sum, DropReason::BadHeaderChecksum),
        ("fragment of nothing", edit(6, 0x20), DropReason::BadFragment),
        ("protocol", edit(9, 132), DropReason::UnknownProtocol),
        ("ICMP error", icmp_error, DropReason::IcmpError),
        ("ICMP timestamp", icmp_other, DropReason::IcmpOther),
        ("no next header", ext, DropReason::ExtensionHeaders),
    ];
    for (label, packet, reason) in cases {
        let mut world = World::new();
        assert!(world.send(0, &packet).is_empty(), "{label}");
        assert_eq!(world.drops(reason), 1, "{label}");
        world.assert_conserved();
    }
    let mut world = World::new();
    assert!(world.send(0, &long_chain).is_empty());
    assert_eq!(world.drops(DropReason::Malformed), 1, "a chain has no padding");
}

#[test]
fn a_hop_that_stays_unknown_is_asked_for_again_while_packets_come() {
    let mut world = World::new();
    let stranger = "10.0.0.77";
    let syn = open(&mut world, (stranger, 4000), VIP);
    let backend = text(syn.dst);
    let reply = tcp(1, (&backend, 8080), (SNAT, tcp_of(&syn).0), "SA", b"");
    let mut questions = 0;
    while questions < 3 {
        world.send(1, &reply);
        questions += world.asked.try_iter().count();
    }
    world.assert_conserved();
}
