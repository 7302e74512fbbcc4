use portreeve_dataplane::flow::State;

use super::*;

/// The frame that a client's frame becomes when only MACs and TTL change.
fn passed_on(frame: &[u8], sent: &[u8]) -> Vec<u8> {
    let mut expected = frame.to_vec();
    expected[..6].copy_from_slice(&sent[..6]);
    expected[6..12].copy_from_slice(&PORT_MACS[1]);
    if expected[12..14] == [8, 0] {
        expected[L3 + 8] -= 1;
        fix_ipv4(&mut expected);
    } else {
        expected[L3 + 7] -= 1;
    }
    expected
}

#[test]
fn only_macs_and_ttl_change() {
    for (client, vip) in FAMILIES {
        let mut world = world_in(Mode::DsrL2);
        let frames = [
            tcp(0, (client, 4000), (vip, 80), "S", b""),
            tcp(0, (client, 4000), (vip, 80), "AP", b"request"),
            udp(0, (client, 4000), (vip, 53), b"question"),
        ];
        for frame in frames {
            let sent = world.send(0, &frame);
            let seen = one(&sent, 1);
            assert_eq!((seen.src, seen.dst), (addr(client), addr(vip)));
            assert!(BACKEND_MACS.contains(&seen.dst_mac));
            assert_eq!(sent[0].1, passed_on(&frame, &sent[0].1));
        }
        world.assert_conserved();
    }
}

#[test]
fn an_unfinished_checksum_is_finished() {
    let mut world = world_in(Mode::DsrL2);
    let mut frame = udp(0, (CLIENT, 4000), (VIP, 53), b"question");
    // What a sender leaves to its card: the sum of the pseudo-header alone.
    let words = [&frame[L3 + 12..L3 + 20], &[0, 17], &frame[L3 + 24..L3 + 26]].concat();
    let sum: u32 = words.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[L3 + 26..L3 + 28].copy_from_slice(&(sum as u16).to_be_bytes());
    one(&world.send(0, &frame), 1);
    assert_eq!(world.counters.checksums_finished.get(), 1);
}

#[test]
fn a_connection_is_held_at_its_backend_although_only_the_client_is_seen() {
    let mut world = world_in(Mode::DsrL2);
    let first = open(&mut world, (CLIENT, 4000), VIP);
    let ack = tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x");
    world.send(0, &ack);
    let (mut flows, _) = world.worker.flows().list(0, 10);
    assert_eq!(
        flows.next().map(|flow| (flow.mode, flow.state())),
        Some((Mode::DsrL2, State::OneWay))
    );
    drop(flows);
    only(&mut world, u32::from(first.dst_mac == BACKEND_MACS[0]));
    assert_eq!(one(&world.send(0, &ack), 1).dst_mac, first.dst_mac);
    let anew = open(&mut world, (CLIENT, 4000), VIP);
    assert_ne!(anew.dst_mac, first.dst_mac, "a SYN begins a new connection");
}

#[test]
fn only_the_client_is_told_that_its_backend_is_gone() {
    let mut world = world_in(Mode::DsrL2);
    let syn = open(&mut world, (CLIENT, 4000), VIP);
    let backend = BACKENDS[usize::from(syn.dst_mac == BACKEND_MACS[1])];
    remove(&mut world, addr(backend));
    let reset = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")), 0);
    assert_eq!((reset.src, tcp_of(&reset)), (addr(VIP), (80, 4000, "R")));
    assert!(world.worker.flows().is_empty());
    world.assert_conserved();
}

#[test]
fn a_client_that_is_a_backend_is_served_from_our_address() {
    let mut world = world_in(Mode::DsrL2);
    let itself = format!("{}/32", BACKENDS[0]);
    world.change(|tables| {
        in_mode(tables, Mode::DsrL2, |policy| {
            policy.hairpin = [(itself.parse().unwrap(), ())].into_iter().collect();
        });
    });
    let syn = open(&mut world, (BACKENDS[0], 4000), VIP);
    assert_eq!((syn.src, tcp_of(&syn).1), (addr(SNAT), 8080));
    let on_the_link = open(&mut world, ("10.1.0.77", 4000), VIP);
    assert_eq!(on_the_link.src, addr("10.1.0.77"), "its link is no matter in this mode");
}

#[test]
fn what_is_too_big_for_the_backends_link_is_refused_from_the_vip() {
    let mut world = World::with(Options { mtus: [1500, 1300], ..Options::default() });
    world.change(|tables| in_mode(tables, Mode::DsrL2, |_| {}));
    let refusal = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", &[0; 1400])), 0);
    assert_eq!(refusal.src, addr(VIP));
    assert!(matches!(refusal.what, What::Icmp { kind: 3, code: 4, .. }), "{refusal:?}");
}
