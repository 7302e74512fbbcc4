use super::*;

#[test]
fn a_refused_configuration_leaves_no_trace() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let bad = DEMO.replace("172.16.1.93", "203.0.113.7").replace("10.10.200.3", "10.10.200.6");
    let errors = bench.errors(&bad);
    assert_eq!(errors.len(), 4, "one for each service and one for the VIP: {errors:#?}");
    let after = bench.compile(DEMO);
    assert!(Arc::ptr_eq(&before.tables.frontends, &after.tables.frontends));
    assert!(Arc::ptr_eq(&before.tables.backends, &after.tables.backends));
    assert_eq!(before.tables.routing.generation, after.tables.routing.generation);
    assert_eq!(after.next_deadline, None);
}

#[test]
fn problems_of_this_host_name_the_object_and_the_way_out() {
    let cases = [
        (
            "name = \"ens7\"",
            "name = \"ens9\"",
            "port ens9 does not exist on this host (interfaces are: eth0, ens5, ens6, ens7)",
        ),
        (
            "172.16.1.93",
            "203.0.113.7",
            "backend 203.0.113.7 of service `svc1` is routed through eth0 (route 0.0.0.0/0), which is not a [[port]]",
        ),
        (
            "172.16.1.93",
            "172.16.1.1",
            "backend 172.16.1.1 of service `svc1` is an address of this host",
        ),
        (
            "10.10.200.1\"",
            "10.10.200.6\"",
            "VIP 10.10.200.6 of service `svc1` is an address of this host (on ens5)",
        ),
        (
            "name = \"gw1\"",
            "name = \"gw1\"\n[snat]\naddresses = [\"10.10.200.1\"]\nports = \"64-65535\"",
            "port 80 of service `svc1` lies in the source ports 64-65535 of 10.10.200.1",
        ),
    ];
    for (from, to, want) in cases {
        let errors = Bench::new().errors(&DEMO.replace(from, to));
        assert!(errors.iter().any(|error| error.contains(want)), "{want}\n{errors:#?}");
        assert!(errors[0].starts_with("test.toml:"), "{errors:#?}");
    }
}

#[test]
fn a_port_that_is_down_is_a_problem() {
    let mut bench = Bench::new();
    bench.topology.links[2].up = false;
    assert!(bench.errors(DEMO)[0].contains("port ens6 is down (run `ip link set ens6 up`)"));
}

#[test]
fn a_port_that_goes_down_while_running_stops_nothing_else() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let gone = bench.topology.links[2].ifindex;
    bench.topology.links[2].up = false;
    bench.topology.routes.retain(|route| route.ifindex != Some(gone));
    let text = desired(DEMO);
    let after = bench.compiler.recompile(&text, &bench.topology, at(1)).unwrap();
    assert!(after.warnings.iter().all(|warning| !warning.is_error()));
    let told = |what: &str| after.warnings.iter().any(|warning| warning.what.contains(what));
    assert!(told("port ens6 is down") && told("backend 172.16.1.93"), "{:#?}", after.warnings);
    assert!(Arc::ptr_eq(&before.tables.ports, &after.tables.ports));
    assert!(Arc::ptr_eq(&before.tables.frontends, &after.tables.frontends));
    bench.topology.links.remove(2);
    bench.compiler.recompile(&text, &bench.topology, at(2)).unwrap();
    assert!(!bench.errors(DEMO).is_empty(), "new wishes must fit the host");
}

#[test]
fn a_new_mtu_makes_flows_look_for_their_way_again() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO).tables.routing.generation;
    bench.topology.links[2].mtu = 1280;
    assert_ne!(bench.compile(DEMO).tables.routing.generation, before);
}

#[test]
fn a_backend_without_any_route_is_a_problem() {
    let mut bench = Bench::new();
    bench.topology.routes.retain(|route| route.dest.prefix_len() != 0);
    let errors = bench.errors(&DEMO.replace("172.16.1.93", "203.0.113.7"));
    assert!(errors[0].contains("backend 203.0.113.7 of service `svc1` has no route"), "{errors:?}");
}

#[test]
fn ports_keep_their_ids_and_cannot_change_while_running() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let swapped = DEMO.replace("ens5", "?").replace("ens7", "ens5").replace('?', "ens7");
    let after = bench.compile(&swapped);
    assert!(Arc::ptr_eq(&before.tables.ports, &after.tables.ports));
    let fewer = DEMO.replace("[[port]]\nname = \"ens7\" # servers 172.16.2.0/24\n", "");
    let errors = bench.errors(&fewer);
    assert!(errors[0].contains("port ens7 cannot be removed while running"), "{errors:?}");
}

fn facts(local: (u16, u16), listening: &[(&str, u16)]) -> HostFacts {
    let listener = |(addr, port): &(&str, u16)| Listener {
        proto: Proto::Tcp,
        addr: addr.parse().unwrap(),
        port: *port,
    };
    HostFacts {
        local_ports: Some(local.0..=local.1),
        listening: listening.iter().map(listener).collect(),
        ..HostFacts::default()
    }
}

fn conflicts(text: &str, facts: &HostFacts) -> Vec<String> {
    let compiled = Bench::new().compile(text);
    let problems = host_conflicts(&desired(text), &compiled, facts);
    problems.iter().map(|problem| problem.what.clone()).collect()
}

#[test]
fn the_default_shared_ports_lie_apart_from_a_default_kernels_ports() {
    let facts = facts((32_768, 60_999), &[("0.0.0.0", 22), ("127.0.0.1", 61_500)]);
    assert_eq!(conflicts(DEMO, &facts), [""; 0]);
}

#[test]
fn shared_ports_that_the_host_uses_too_are_problems() {
    let text = format!("[snat]\nshared_ports = \"32000-62000\"\n{DEMO}");
    let facts = facts((32_768, 60_999), &[("0.0.0.0", 61_000), ("172.16.1.1", 61_001)]);
    let found = conflicts(&text, &facts);
    let wanted = [
        "the host's own ephemeral ports 32768-60999",
        "the node ports 30000-32767 of Kubernetes",
        "a listening tcp socket on 0.0.0.0:61000",
        "a listening tcp socket on 172.16.1.1:61001",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.contains(wanted), "{found}");
    }
}

#[test]
fn addresses_that_are_ours_alone_cannot_clash_with_the_host() {
    let snat = "[snat]\naddresses = [\"172.16.1.200\"]\nshared_ports = \"32000-62000\"\n";
    let facts = facts((32_768, 60_999), &[("0.0.0.0", 61_000)]);
    assert_eq!(conflicts(&format!("{snat}{DEMO}"), &facts), [""; 0]);
}
