//! From configuration and topology to tables: what comes out, what stays the same, what lingers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Modes, policies, router addresses.
#[path = "compile/modes.rs"]
mod modes;
/// What is wrong on this host, and that it leaves no trace.
#[path = "compile/problems.rs"]
mod problems;
/// Addresses that are released or drained.
#[path = "compile/apart.rs"]
mod apart;
/// What was removed while flows may refer to it.
#[path = "compile/removal.rs"]
mod removal;
/// VLANs on the links of ports.
#[path = "compile/vlans.rs"]
mod vlans;
#[path = "fixtures/topology.rs"]
mod topology;

use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::{Addr, Proto};
use dataplane::tables::backend::BackendState;
use dataplane::tables::frontend::{Frontend, FrontendKey};
use dataplane::tables::route::HopRef;
use dataplane::tables::{FrontendId, PortId, PortMask, SnatId};
use portreeve::compile::{Compiled, Compiler, HostFacts, LINGER, Listener, host_conflicts};
use portreeve::desired::Desired;
use portreeve::source::toml::load;
use portreeve::steering::Share;
use portreeve::topology::Topology;
use topology::{host, neighbour, route};

const DEMO: &str = include_str!("fixtures/three-services.toml");

fn desired(text: &str) -> Desired {
    match load("test.toml", text) {
        Ok(loaded) => loaded.desired,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<std::net::IpAddr>().unwrap())
}

fn tcp(vip: &str, port: u16) -> FrontendKey {
    FrontendKey { addr: addr(vip), port, proto: Proto::Tcp }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A compiler with the clock and host of the test.
struct Bench {
    compiler: Compiler,
    topology: Topology,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self { compiler: Compiler::new(), topology: host(), now: at(0) }
    }

    fn compile(&mut self, text: &str) -> Compiled {
        let desired = desired(text);
        self.compiler.compile(&desired, &self.topology, self.now).unwrap()
    }

    fn errors(&mut self, text: &str) -> Vec<String> {
        let desired = desired(text);
        let problems = self.compiler.compile(&desired, &self.topology, self.now).err();
        problems.expect("refused").iter().map(ToString::to_string).collect()
    }
}

fn frontend(compiled: &Compiled, key: &FrontendKey) -> (FrontendId, Arc<Frontend>) {
    let (id, _) = compiled.tables.frontends.find(key).unwrap();
    (id, compiled.tables.frontends.share(id).unwrap())
}

fn backend_state(compiled: &Compiled, backend: &str) -> Option<BackendState> {
    let all = &compiled.tables.backends;
    all.iter().find(|(_, b)| b.addr == addr(backend)).map(|(_, b)| b.state)
}

#[test]
fn the_demo_becomes_three_frontends_that_share_one_maglev_table() {
    let compiled = Bench::new().compile(DEMO);
    let all: Vec<_> = ["10.10.200.1", "10.10.200.2", "10.10.200.3"]
        .map(|vip| frontend(&compiled, &tcp(vip, 80)).1)
        .into();
    let table = all[0].maglev.as_ref().unwrap();
    assert!(all.iter().all(|f| Arc::ptr_eq(f.maglev.as_ref().unwrap(), table)));
    assert_eq!(compiled.tables.backends.iter().count(), 2);
    assert_eq!(compiled.services.len(), 3);
    assert_eq!(&*compiled.services[2].name, "svc3");
}

#[test]
fn a_backend_is_reached_through_the_port_of_its_route_with_that_ports_source() {
    let mut bench = Bench::new();
    bench.topology.links[3].mtu = 9_001;
    let compiled = bench.compile(DEMO);
    let sources: Vec<_> = compiled
        .tables
        .backends
        .iter()
        .map(|(_, backend)| {
            let HopRef::Via { hop, mtu } = backend.hop else { panic!("{:?}", backend.hop) };
            let source = compiled.tables.snat.get(backend.default_snat.unwrap()).unwrap();
            let port = compiled.tables.routing.hop(hop).unwrap().port;
            (backend.addr, port, mtu, source.addr, source.shared)
        })
        .collect();
    let one = (addr("172.16.1.93"), PortId(1), 1_500, addr("172.16.1.1"), true);
    let two = (addr("172.16.2.115"), PortId(2), 9_001, addr("172.16.2.1"), true);
    assert!(sources.contains(&one) && sources.contains(&two), "{sources:?}");
    assert!(frontend(&compiled, &tcp("10.10.200.1", 80)).1.snat.is_empty());
}

#[test]
fn next_hops_of_backends_and_routers_shall_be_kept_fresh() {
    let mut bench = Bench::new();
    bench.topology.routes.push(route("172.16.9.0/24", "ens6", Some("172.16.1.254")));
    bench.topology.neighbours.push(neighbour("ens5", "10.10.200.5", 5));
    bench.topology.neighbours.push(neighbour("eth0", "192.0.2.1", 9));
    let compiled = bench.compile(DEMO);
    let wanted: Vec<_> =
        compiled.wanted_neighbours.iter().map(|n| (n.ifindex, n.addr.to_string())).collect();
    let want = [(4, "172.16.1.93"), (4, "172.16.1.254"), (5, "172.16.2.115")];
    assert_eq!(wanted, want.map(|(i, a)| (i, a.to_owned())));
    // The client that the kernel knows is a hop, the one behind the management interface is not.
    let hops: Vec<_> = compiled.tables.routing.hops().map(|(_, hop)| hop.addr).collect();
    assert!(hops.contains(&addr("10.10.200.5")) && !hops.contains(&addr("192.0.2.1")));
}

#[test]
fn what_did_not_change_is_the_same_arc() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let after = bench.compile(&DEMO.replace("vip = \"10.10.200.3\"", "vip = \"10.10.200.4\""));
    for vip in ["10.10.200.1", "10.10.200.2"] {
        let key = tcp(vip, 80);
        assert!(Arc::ptr_eq(&frontend(&before, &key).1, &frontend(&after, &key).1));
    }
    assert!(Arc::ptr_eq(&before.tables.routing, &after.tables.routing));
    assert!(Arc::ptr_eq(&before.tables.backends, &after.tables.backends));
    assert!(Arc::ptr_eq(&before.tables.snat, &after.tables.snat));
    assert!(Arc::ptr_eq(&before.tables.ports, &after.tables.ports));
    assert!(!Arc::ptr_eq(&before.tables.addresses, &after.tables.addresses));
    let again = bench.compile(&DEMO.replace("vip = \"10.10.200.3\"", "vip = \"10.10.200.4\""));
    assert!(Arc::ptr_eq(&after.tables.frontends, &again.tables.frontends));
    assert!(Arc::ptr_eq(&after.tables.addresses, &again.tables.addresses));
}

#[test]
fn services_that_are_kept_are_the_same_arc_wherever_their_lines_stand() {
    let held = desired(DEMO);
    let mut next = desired(&format!("# moved\n{}", DEMO.replace("10.10.200.3", "10.10.200.4")));
    next.services.rotate_left(1);
    next.keep_services(&held);
    let kept = |at: usize| held.services.iter().position(|s| Arc::ptr_eq(s, &next.services[at]));
    assert_eq!([kept(0), kept(1), kept(2)], [Some(1), None, Some(0)]);
}

#[test]
fn moving_lines_and_renaming_services_changes_no_frontend() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let after = bench.compile(&format!("# moved\n\n{}", DEMO.replace("svc2", "other")));
    assert!(Arc::ptr_eq(&before.tables.frontends, &after.tables.frontends));
    assert_eq!(&*after.services[1].name, "other");
}

#[test]
fn a_new_mac_keeps_the_generation_and_a_new_route_or_hop_grows_it() {
    let mut bench = Bench::new();
    bench.topology.neighbours.push(neighbour("ens6", "172.16.1.93", 1));
    let first = bench.compile(DEMO).tables.routing;
    bench.topology.neighbours[0] = neighbour("ens6", "172.16.1.93", 2);
    let second = bench.compile(DEMO).tables.routing;
    assert_eq!(first.generation, second.generation);
    let (id, hop) = second.hop_at(PortId(1), addr("172.16.1.93")).unwrap();
    assert_eq!(hop.mac().unwrap().0[5], 2);
    assert!(first.hop(id).is_some(), "the id stays");
    bench.topology.neighbours.push(neighbour("ens5", "10.10.200.5", 5));
    let third = bench.compile(DEMO).tables.routing;
    assert_eq!(third.generation, second.generation + 1);
    bench.topology.routes.push(route("10.9.0.0/16", "ens6", Some("172.16.1.254")));
    let fourth = bench.compile(DEMO).tables.routing;
    assert_eq!(fourth.generation, third.generation + 1);
}

#[test]
fn the_route_with_the_lower_metric_wins() {
    let mut bench = Bench::new();
    let mut worse = route("172.30.0.0/16", "ens7", Some("172.16.2.254"));
    worse.metric = 200;
    let mut better = route("172.30.0.0/16", "ens6", Some("172.16.1.254"));
    better.metric = 100;
    bench.topology.routes.extend([worse.clone(), better.clone(), worse]);
    let compiled = bench.compile(&DEMO.replace("172.16.1.93", "172.30.0.1"));
    let route = compiled.tables.routing.route(addr("172.30.0.1")).unwrap();
    assert_eq!((route.port, route.gateway), (Some(PortId(1)), Some(addr("172.16.1.254"))));
}

#[test]
fn an_unshared_source_is_announced_and_a_shared_one_is_taken_by_range() {
    let text = format!("[snat]\naddresses = [\"172.16.1.1\", \"172.16.1.200\"]\n{DEMO}");
    let compiled = Bench::new().compile(&text.replace("[gateway]", "\n[gateway]"));
    let Some(Share::Ranges(ranges)) = compiled.steering.addresses.get(&addr("172.16.1.1")) else {
        panic!("{:?}", compiled.steering)
    };
    assert_eq!(ranges.iter().map(|r| (r.first, r.last)).collect::<Vec<_>>(), [(61_000, 65_535); 2]);
    assert_eq!(compiled.steering.addresses.get(&addr("172.16.1.200")), Some(&Share::Whole));
    let announced: Vec<_> = compiled.announce.iter().map(|(addr, _)| *addr).collect();
    assert!(announced.contains(&addr("172.16.1.200")) && !announced.contains(&addr("172.16.1.1")));
    assert!(compiled.steering.host.contains(&addr("192.0.2.10")));
    assert_eq!(frontend(&compiled, &tcp("10.10.200.1", 80)).1.snat.len(), 2);
}

#[test]
fn a_source_that_linux_gives_up_is_another_one() {
    let text = format!("[snat]\naddresses = [\"172.16.1.1\"]\n{DEMO}");
    let mut bench = Bench::new();
    let source = |compiled: &Compiled| -> (SnatId, bool) {
        let (id, source) = compiled.tables.snat.iter().next().unwrap();
        let owned = compiled.tables.addresses.get(&source.addr).unwrap();
        assert_eq!(owned.snat, Some(id));
        assert_eq!(*frontend(compiled, &tcp("10.10.200.1", 80)).1.snat, [id]);
        (id, source.shared)
    };
    let before = bench.compile(&text);
    let (shared, true) = source(&before) else { panic!("Linux has it") };
    assert_eq!(source(&bench.compile(&text)).0, shared);
    bench.topology.addresses.retain(|held| held.net.addr().to_string() != "172.16.1.1");
    let after = bench.compile(&text);
    let (whole, false) = source(&after) else { panic!("it is ours alone") };
    assert!(whole != shared && after.tables.snat.get(shared).is_none());
}

#[test]
fn ipv6_vips_join_their_solicited_node_group_where_they_are_announced() {
    let text = DEMO
        .replacen("vip = \"10.10.200.1\"", "vip = \"fd00:200::1:2345\"\nannounce = [\"ens5\"]", 1)
        .replacen("\"172.16.1.93\", \"172.16.2.115\"", "\"fd00:16::93\"", 1);
    let compiled = Bench::new().compile(&text);
    assert_eq!(*compiled.groups, [(3, "ff02::1:ff01:2345".parse().unwrap())]);
}

#[test]
fn a_service_without_backends_compiles_to_a_frontend_without_a_table() {
    let text = DEMO.replacen("[\"172.16.1.93\", \"172.16.2.115\"]", "[]", 1);
    let compiled = Bench::new().compile(&text);
    assert!(frontend(&compiled, &tcp("10.10.200.1", 80)).1.maglev.is_none());
}

#[test]
fn ten_thousand_services_of_ten_backends_compile_in_one_go() {
    let mut text = String::from(DEMO.split("[[service]]").next().unwrap());
    for service in 0..10_000_u32 {
        let backends: Vec<String> = (0..10_u32)
            .map(|b| service * 10 + b + 2)
            .map(|n| format!("\"172.30.{}.{}\"", n / 250 % 250, n % 250 + 1))
            .collect();
        text += &format!(
            "[[service]]\nname = \"s{service}\"\nvip = \"10.{}.{}.1\"\nports = [{{ port = 80 }}]\nbackends = [{}]\n",
            20 + service / 250,
            service % 250,
            backends.join(", ")
        );
    }
    let mut bench = Bench::new();
    bench.topology.routes.push(route("172.30.0.0/16", "ens6", Some("172.16.1.254")));
    let compiled = bench.compile(&text);
    assert_eq!(compiled.tables.frontends.iter().count(), 10_000);
}
