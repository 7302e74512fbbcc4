use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::flow::State;

use super::*;

fn state(world: &World) -> Vec<(Mode, State)> {
    let (flows, _) = world.worker.flows().list(0, 1_000);
    flows.map(|flow| (flow.mode, flow.state())).collect()
}

#[test]
fn a_backend_sees_the_client_and_its_answer_comes_from_the_vip() {
    for (client, vip) in FAMILIES {
        let mut world = world_in(Mode::Nat);
        let syn = open(&mut world, (client, 4000), vip);
        assert_eq!((syn.src, syn.ttl, syn.src_mac), (addr(client), 63, PORT_MACS[1]));
        assert_eq!(tcp_of(&syn), (4000, 8080, "S"));
        let backend = text(syn.dst);
        let reply = tcp(1, (&backend, 8080), (client, 4000), "SA", b"");
        let seen = one(&world.send(1, &reply), 0);
        assert_eq!((seen.src, seen.dst, seen.ttl), (addr(vip), addr(client), 63));
        assert_eq!(tcp_of(&seen), (80, 4000, "SA"));
        assert_eq!((seen.src_mac, seen.dst_mac), (PORT_MACS[0], CLIENT_MAC));
        let ack = one(&world.send(0, &tcp(0, (client, 4000), (vip, 80), "A", b"x")), 1);
        assert_eq!(ack.dst, syn.dst);
        assert_eq!(state(&world), [(Mode::Nat, State::Established)]);
        world.assert_conserved();
    }
}

#[test]
fn datagrams_go_both_ways() {
    for (client, vip) in FAMILIES {
        let mut world = world_in(Mode::Nat);
        let seen = one(&world.send(0, &udp(0, (client, 4000), (vip, 53), b"question")), 1);
        assert_eq!(seen.src, addr(client));
        let backend = text(seen.dst);
        let sent = world.send(1, &udp(1, (&backend, 8080), (client, 4000), b"answer"));
        let seen = one(&sent, 0);
        assert_eq!((seen.src, seen.dst), (addr(vip), addr(client)));
        assert_eq!(seen.what, What::Udp { src: 53, dst: 4000, payload: b"answer".to_vec() });
        assert_eq!(state(&world), [(Mode::Nat, State::Udp)]);
    }
}

#[test]
fn a_connection_goes_on_in_the_middle_and_is_held_at_its_backend() {
    let mut world = world_in(Mode::Nat);
    let first = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")), 1);
    assert_eq!(state(&world), [(Mode::Nat, State::Resumed)]);
    let backend = text(first.dst);
    one(&world.send(1, &tcp(1, (&backend, 8080), (CLIENT, 4000), "A", b"y")), 0);
    assert_eq!(state(&world), [(Mode::Nat, State::Established)]);
    only(&mut world, u32::from(backend == BACKENDS[0]));
    let again = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")), 1);
    assert_eq!(again.dst, first.dst);
    let other = one(&world.send(0, &tcp(0, (CLIENT, 4001), (VIP, 80), "S", b"")), 1);
    assert_ne!(other.dst, first.dst);
}

#[test]
fn nothing_begins_with_an_rst() {
    let mut world = world_in(Mode::Nat);
    let seen = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "R", b"")), 1);
    assert_eq!(tcp_of(&seen).2, "R");
    assert!(world.worker.flows().is_empty());
}

#[test]
fn a_full_table_is_no_reason_to_drop() {
    let mut world = World::with(Options { flows: 4, ..Options::default() });
    world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
    for port in 4000..4010 {
        let backend = text(open(&mut world, (CLIENT, port), VIP).dst);
        one(&world.send(1, &tcp(1, (&backend, 8080), (CLIENT, port), "SA", b"")), 0);
        let ack = one(&world.send(0, &tcp(0, (CLIENT, port), (VIP, 80), "A", b"")), 1);
        assert_eq!(text(ack.dst), backend);
    }
    assert_eq!(world.worker.flows().len(), 4);
    assert_eq!(world.drops(DropReason::FlowTableFull), 0);
    world.assert_conserved();
}

#[test]
fn a_flood_in_the_middle_of_nothing_takes_half_the_table_and_gives_way() {
    let mut world = World::with(Options { flows: 64, ..Options::default() });
    world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
    for port in 4000..4200 {
        one(&world.send(0, &tcp(0, (CLIENT, port), (VIP, 80), "A", b"x")), 1);
    }
    assert_eq!(world.worker.flows().len(), 32);
    assert_eq!(world.worker.flows().evicted(), 200 - 32);
}

#[test]
fn a_reply_without_a_flow_is_of_the_only_service_that_it_can_be_of() {
    for (backend, (client, vip)) in [BACKENDS[1], BACKENDS6[1]].iter().zip(FAMILIES) {
        let mut world = world_in(Mode::Nat);
        let data = tcp(1, (backend, 8080), (client, 4000), "A", b"pushed");
        let seen = one(&world.send(1, &data), 0);
        assert_eq!((seen.src, seen.dst), (addr(vip), addr(client)));
        assert_eq!(tcp_of(&seen), (80, 4000, "A"));
        assert!(world.worker.flows().is_empty(), "a backend begins no flow");
    }
}

#[test]
fn a_reply_of_several_services_waits_for_the_clients_next_packet() {
    let mut world = world_in(Mode::Nat);
    world.change(|tables| {
        let all = tables.nat_backends.iter().map(|(end, _)| (*end, Stateless::Ambiguous));
        tables.nat_backends = Arc::new(all.collect());
    });
    let backend = text(one(&world.send(0, &tcp(0, (CLIENT, 4001), (VIP, 80), "S", b"")), 1).dst);
    let data = tcp(1, (&backend, 8080), (CLIENT, 4000), "A", b"pushed");
    assert!(world.send(1, &data).is_empty());
    assert_eq!(world.drops(DropReason::ReplyAmbiguous), 1);
    let other = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")), 1);
    let data = tcp(1, (&text(other.dst), 8080), (CLIENT, 4000), "A", b"pushed");
    assert_eq!(one(&world.send(1, &data), 0).src, addr(VIP));
    world.assert_conserved();
}

/// Packets of a removed backend's flow: what each end is told, from which address.
#[test]
fn both_ends_of_a_removed_backends_flow_are_told_whoever_speaks_first() {
    for from_backend in [false, true] {
        let mut world = world_in(Mode::Nat);
        let syn = open(&mut world, (CLIENT, 4000), VIP);
        let backend = text(syn.dst);
        world.send(1, &tcp(1, (&backend, 8080), (CLIENT, 4000), "SA", b""));
        remove(&mut world, syn.dst);
        let sent = match from_backend {
            true => world.send(1, &tcp(1, (&backend, 8080), (CLIENT, 4000), "A", b"x")),
            false => world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")),
        };
        let told =
            |port: usize| read(&sent.iter().find(|(through, _)| *through == port).unwrap().1);
        let (client, server) = (told(0), told(1));
        assert_eq!((client.src, client.dst), (addr(VIP), addr(CLIENT)));
        assert_eq!((server.src, server.dst), (addr(CLIENT), syn.dst));
        assert!(tcp_of(&client).2.contains('R') && tcp_of(&server).2.contains('R'));
        assert_eq!((tcp_of(&client).0, tcp_of(&server).1), (80, 8080));
        assert!(world.worker.flows().is_empty());
        world.assert_conserved();
    }
}

#[test]
fn flows_end_when_the_mode_of_their_service_changes_and_snat_flows_do_not() {
    let mut world = world_in(Mode::Nat);
    open(&mut world, (CLIENT, 4000), VIP);
    world.change(|tables| in_mode(tables, Mode::Snat, |_| {}));
    let sent = world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x"));
    assert_eq!(sent.len(), 2, "RST to both ends: {sent:?}");
    assert_eq!(world.drops(DropReason::Removed), 1);
    let syn = open(&mut world, (CLIENT, 4000), VIP);
    world.change(|tables| in_mode(tables, Mode::Nat, |_| {}));
    let more = one(&world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"x")), 1);
    assert_eq!((more.src, tcp_of(&more).0), (addr(SNAT), tcp_of(&syn).0));
}

#[test]
fn a_client_on_the_backends_own_link_is_served_from_our_address() {
    let neighbour = "10.1.0.77";
    let mut world = world_in(Mode::Nat);
    let syn = open(&mut world, (neighbour, 4000), VIP);
    assert_eq!(syn.src, addr(SNAT));
    let middle = tcp(0, (neighbour, 4001), (VIP, 80), "A", b"x");
    assert_eq!(tcp_of(&one(&world.send(0, &middle), 0)).2, "R", "snat needs a flow");
    world.change(|tables| {
        in_mode(tables, Mode::Nat, |policy| {
            policy.hairpin = [("10.0.0.0/28".parse().unwrap(), ())].into_iter().collect();
        });
    });
    assert_eq!(open(&mut world, (CLIENT, 4000), VIP).src, addr(SNAT));
    assert_eq!(open(&mut world, ("10.0.0.99", 4000), VIP).src, addr("10.0.0.99"));
}

#[test]
fn two_connections_that_would_be_one_to_the_backend_are_kept_apart() {
    let mut world = world_in(Mode::Nat);
    only(&mut world, 0);
    let first = open(&mut world, (CLIENT, 4000), VIP);
    let second = |world: &mut World| world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 81), "S", b""));
    // The first has not been accepted: it gives way.
    assert_eq!(one(&second(&mut world), 1).src, addr(CLIENT));
    assert_eq!(world.worker.flows().len(), 1);
    world.send(1, &tcp(1, (&text(first.dst), 8080), (CLIENT, 4000), "SA", b""));
    world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 81), "A", b""));
    let third = open(&mut world, (CLIENT, 4000), VIP);
    assert_eq!(third.src, addr(SNAT), "the second is established");
    assert_eq!(world.worker.flows().len(), 2);
}

#[test]
fn the_table_gives_back_what_flows_of_each_mode_took() {
    for mode in [Mode::Nat, Mode::DsrL2, Mode::Snat] {
        let mut world = world_in(mode);
        for round in 0..3 {
            for port in 4000..4100 {
                open(&mut world, (CLIENT, port), VIP);
            }
            assert_eq!(world.worker.flows().len(), 100, "{mode:?}, round {round}");
            for backend in BACKENDS {
                remove(&mut world, addr(backend));
            }
            for port in 4000..4100 {
                world.send(0, &tcp(0, (CLIENT, port), (VIP, 80), "A", b""));
            }
            assert!(world.worker.flows().is_empty());
            world.change(|tables| {
                let active = |(id, old): (BackendId, &Backend)| {
                    (id, Backend { state: BackendState::Active, ..*old })
                };
                tables.backends = Arc::new(tables.backends.iter().map(active).collect());
            });
        }
    }
}
