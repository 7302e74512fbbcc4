//! What is steered to us as a backend's, and is no service's: it is routed on.

use portreeve_dataplane::drop_reason::DropReason;

use super::*;

/// A world in which a packet without a flow is a connection of the backend's own.
fn world() -> World {
    let mut world = world_in(Mode::Nat);
    world.change(|tables| {
        let all = tables.nat_backends.iter().map(|(end, _)| (*end, Stateless::Route));
        tables.nat_backends = Arc::new(all.collect());
    });
    world
}

#[test]
fn a_direct_connection_goes_its_way_unchanged() {
    for (backend, (client, _)) in [BACKENDS[0], BACKENDS6[0]].iter().zip(FAMILIES) {
        for port in [8080, 9999] {
            let mut world = world();
            let packet = tcp(1, (backend, port), (client, 4000), "A", b"data");
            let seen = one(&world.send(1, &packet), 0);
            assert_eq!((seen.src, seen.dst, seen.ttl), (addr(backend), addr(client), 63));
            assert_eq!(tcp_of(&seen), (port, 4000, "A"));
            assert_eq!((seen.src_mac, seen.dst_mac), (PORT_MACS[0], CLIENT_MAC));
            assert!(world.worker.flows().is_empty());
            world.assert_conserved();
        }
    }
}

#[test]
fn a_hairpin_client_has_only_direct_connections() {
    let mut world = world_in(Mode::Nat);
    world.change(|tables| {
        in_mode(tables, Mode::Nat, |policy| {
            policy.hairpin = [("10.0.0.0/24".parse().unwrap(), ())].into_iter().collect();
        });
    });
    let packet = tcp(1, (BACKENDS[0], 8080), (CLIENT, 4000), "A", b"data");
    assert_eq!(one(&world.send(1, &packet), 0).src, addr(BACKENDS[0]));
}

#[test]
fn the_far_end_may_have_the_last_hop_only() {
    let mut world = world();
    let packet = tcp_ttl(1, (BACKENDS[0], 9999), (CLIENT, 4000), "A", b"data", 1);
    let refusal = one(&world.send(1, &packet), 1);
    assert_eq!((refusal.src, refusal.dst), (addr("10.1.0.254"), addr(BACKENDS[0])));
    assert!(matches!(refusal.what, What::Icmp { kind: 11, .. }), "{refusal:?}");
    assert_eq!(world.drops(DropReason::TtlExceeded), 1);
}

#[test]
fn what_is_too_big_is_refused_by_us_as_a_router() {
    for flow in [false, true] {
        let mut world = World::with(Options { mtus: [1300, 1500], ..Options::default() });
        world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
        let mut backend = BACKENDS[0].to_owned();
        if flow {
            backend = text(open(&mut world, (CLIENT, 4000), VIP).dst);
        }
        let packet = tcp(1, (&backend, 8080), (CLIENT, 4000), "A", &[0; 1400]);
        let refusal = one(&world.send(1, &packet), 1);
        assert_eq!((refusal.src, refusal.dst), (addr("10.1.0.254"), addr(&backend)));
        assert!(matches!(refusal.what, What::Icmp { kind: 3, code: 4, .. }), "{refusal:?}");
    }
}

#[test]
fn fragments_of_a_backend_go_their_way() {
    let mut world = world();
    let mut packet = udp(1, (BACKENDS[0], 9999), (CLIENT, 4000), b"the middle of something");
    packet[L3 + 7] = 5;
    fix_ipv4(&mut packet);
    let mut sent = world.send(1, &packet);
    assert!(sent.is_empty(), "its first fragment may still come");
    while sent.is_empty() {
        sent = world.turn();
    }
    let seen = one(&sent, 0);
    assert_eq!((seen.src, seen.ttl), (addr(BACKENDS[0]), 63));
    assert_eq!(sent[0].1[L3 + 20..], packet[L3 + 20..]);
    packet[L3 + 9] = 1;
    fix_ipv4(&mut packet);
    let sent = world.send(1, &packet);
    assert_eq!(sent[0].1[L3 + 20..], packet[L3 + 20..], "of a ping nothing is waited for");
    world.assert_conserved();
}

/// Of everybody's later fragments each goes on, however many wait.
#[test]
fn a_flood_of_fragments_of_a_backend_is_routed() {
    let mut world = World::with(Options { frames: 4096, ..Options::default() });
    world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
    let mut sent = 0;
    for ident in 0..1_000_u16 {
        let mut packet = udp(1, (BACKENDS[0], 9999), (CLIENT, 4000), b"the middle of something");
        packet[L3 + 4..L3 + 6].copy_from_slice(&ident.to_be_bytes());
        packet[L3 + 7] = 5;
        fix_ipv4(&mut packet);
        sent += world.send(1, &packet).len();
    }
    while world.counters.waiting.get() > 0 {
        sent += world.turn().len();
    }
    assert_eq!(sent, 1_000);
    assert_eq!(world.counters.forwarded.get(), 1_000);
    world.assert_conserved();
}

#[test]
fn what_is_not_a_backends_is_not_ours() {
    for stranger in ["10.1.0.99", "10.0.0.1"] {
        let mut world = world();
        let packet = tcp(1, (stranger, 8080), (CLIENT, 4000), "A", b"data");
        assert!(world.send(1, &packet).is_empty());
        assert_eq!(world.drops(DropReason::NotOurs), 1);
    }
    let mut world = world();
    let mut group = tcp(1, (BACKENDS[0], 8080), (CLIENT, 4000), "A", b"data");
    group[0] |= 1;
    assert!(world.send(1, &group).is_empty());
    assert_eq!(world.drops(DropReason::NotOurs), 1);
}
