use dataplane::tables::frontend::Mode;
use dataplane::tables::{NatEnd, Stateless};

use super::*;

/// The demo with one more line in its first service.
fn with(line: &str) -> String {
    DEMO.replacen("name = \"svc1\"", &format!("name = \"svc1\"\n{line}"), 1)
}

/// The demo with these lines in its first service, whose backends listen on a port of their own.
fn alone(line: &str) -> String {
    with(line).replacen("target = 80 ", "target = 8080 ", 1)
}

fn end(backend: &str, port: u16) -> NatEnd {
    NatEnd { addr: addr(backend), port, proto: Proto::Tcp }
}

fn stateless(compiled: &Compiled, backend: &str, port: u16) -> Option<Stateless> {
    compiled.tables.nat_backends.find(&end(backend, port))
}

fn client(text: &str) -> Addr {
    addr(text)
}

#[test]
fn backends_in_mode_nat_are_steered_and_their_replies_belong_to_their_service() {
    let compiled = Bench::new().compile(&alone("mode = \"nat\""));
    let (id, svc1) = frontend(&compiled, &tcp("10.10.200.1", 80));
    assert_eq!(svc1.mode, Mode::Nat);
    assert_eq!(frontend(&compiled, &tcp("10.10.200.2", 80)).1.mode, Mode::Snat);
    for backend in ["172.16.1.93", "172.16.2.115"] {
        let Some(Stateless::Reply(of, which)) = stateless(&compiled, backend, 8080) else {
            panic!("{:?}", compiled.tables.nat_backends)
        };
        let found = compiled.tables.backends.get(which).unwrap();
        assert_eq!((of, found.addr, found.port), (id, addr(backend), 8080));
        assert!(compiled.steering.nat_backends.contains(&end(backend, 8080)));
        assert_eq!(stateless(&compiled, backend, 80), None, "the same server in mode snat");
    }
    assert_eq!(compiled.steering.nat_backends.len(), 2);
}

#[test]
fn a_reply_that_two_services_could_send_is_ambiguous_and_a_switch_routes_it() {
    let both = DEMO.replace("ports = ", "mode = \"nat\"\nports = ");
    let compiled = Bench::new().compile(&both);
    assert_eq!(stateless(&compiled, "172.16.1.93", 80), Some(Stateless::Ambiguous));
    let off = both.replace("ports = ", "stateless_replies = false\nports = ");
    let compiled = Bench::new().compile(&off);
    assert_eq!(stateless(&compiled, "172.16.1.93", 80), Some(Stateless::Route));
    let compiled = Bench::new().compile(&alone("mode = \"nat\"\nstateless_replies = false"));
    assert_eq!(stateless(&compiled, "172.16.1.93", 8080), Some(Stateless::Route));
}

#[test]
fn a_backend_that_leaves_mode_nat_is_steered_for_a_while() {
    let mut bench = Bench::new();
    bench.compile(&alone("mode = \"nat\""));
    bench.now = at(10);
    let after = bench.compile(&alone("mode = \"snat\""));
    assert_eq!(stateless(&after, "172.16.1.93", 8080), Some(Stateless::Route));
    assert!(after.steering.nat_backends.contains(&end("172.16.1.93", 8080)));
    assert_eq!(after.next_deadline, Some(at(10) + LINGER));
    bench.now = at(10) + LINGER;
    let later = bench.compile(&alone("mode = \"snat\""));
    assert!(later.steering.nat_backends.is_empty());
    assert_eq!(later.tables.nat_backends.iter().count(), 0);
}

#[test]
fn what_did_not_change_is_the_same_table() {
    let mut bench = Bench::new();
    let text = alone("mode = \"nat\"\nallow = [\"10.0.0.0/8\"]\nhairpin = [\"10.9.0.0/16\"]");
    let before = bench.compile(&text);
    let after = bench.compile(&text.replace("10.10.200.3", "10.10.200.4"));
    assert!(Arc::ptr_eq(&before.tables.nat_backends, &after.tables.nat_backends));
    let key = tcp("10.10.200.1", 80);
    assert!(Arc::ptr_eq(&frontend(&before, &key).1, &frontend(&after, &key).1));
    let stricter = bench.compile(&text.replace("\"10.0.0.0/8\"", "\"10.0.0.0/9\""));
    assert!(!Arc::ptr_eq(&frontend(&before, &key).1, &frontend(&stricter, &key).1));
}

#[test]
fn the_link_of_a_backend_is_the_prefix_that_it_or_its_router_is_in() {
    let mut bench = Bench::new();
    bench.topology.routes.push(route("172.30.0.0/16", "ens6", Some("172.16.1.254")));
    let text = DEMO.replace("\"172.16.2.115\"", "\"172.16.2.115\", \"172.30.0.1\"");
    let compiled = bench.compile(&text);
    let link = |backend: &str| {
        let mut all = compiled.tables.backends.iter();
        let (_, found) = all.find(|(_, b)| b.addr == addr(backend)).unwrap();
        found.link.unwrap().to_string()
    };
    assert_eq!(link("172.16.1.93"), "172.16.1.0/24");
    assert_eq!(link("172.16.2.115"), "172.16.2.0/24");
    assert_eq!(link("172.30.0.1"), "172.16.1.0/24");
}

#[test]
fn mode_dsr_l2_reaches_only_what_is_on_a_link() {
    let mut bench = Bench::new();
    let text = with("mode = \"dsr-l2\"");
    let compiled = bench.compile(&text);
    let svc1 = frontend(&compiled, &tcp("10.10.200.1", 80)).1;
    assert!(compiled.steering.nat_backends.is_empty(), "answers go past us");
    let hairpin = &svc1.policy.hairpin;
    assert!(hairpin.cover(client("172.16.1.93")) && !hairpin.cover(client("172.16.1.94")));
    bench.topology.routes.push(route("172.30.0.0/16", "ens6", Some("172.16.1.254")));
    let far = text.replacen("172.16.1.93", "172.30.0.1", 1);
    let errors = bench.errors(&far);
    assert!(
        errors[0]
            .contains("backend 172.30.0.1 of service `svc1` is behind the router 172.16.1.254"),
        "{errors:?}"
    );
    let running = bench.compiler.recompile(&desired(&far), &bench.topology, at(1)).unwrap();
    assert!(running.warnings.iter().any(|w| w.what.contains("behind the router")));
}

#[test]
fn a_service_becomes_what_its_policy_says() {
    let text = with(
        "allow = [\"10.0.0.0/8\"]\ndeny = [\"10.1.0.0/16\"]\naffinity = \"client\"\nmss = 1300",
    );
    let compiled = Bench::new().compile(&text);
    let policy = &frontend(&compiled, &tcp("10.10.200.1", 80)).1.policy;
    assert!(policy.by_client && policy.hairpin.is_empty());
    assert_eq!(policy.mss.map(u16::from), Some(1300));
    let served = |text: &str| policy.sources.as_ref().unwrap().allow(client(text));
    assert_eq!(["10.2.0.1", "10.1.0.1", "11.0.0.1"].map(served), [true, false, false]);
    let other = frontend(&compiled, &tcp("10.10.200.2", 80)).1;
    assert_eq!(other.policy, dataplane::tables::Policy::default());
}

#[test]
fn a_router_address_is_announced_steered_and_nobodys_service() {
    let mut bench = Bench::new();
    let routers = "[[router]]\naddress = \"172.16.1.254\"\nannounce = [\"ens6\"]\n\
                   [[router]]\naddress = \"fd00:16::fe\"\nannounce = [\"ens6\"]\n";
    let compiled = bench.compile(&format!("{DEMO}\n{routers}"));
    let owned = compiled.tables.addresses.get(&addr("172.16.1.254")).unwrap();
    assert_eq!((owned.vip, owned.snat), (None, None));
    assert_eq!(owned.announce, PortMask::NONE.with(PortId(1)));
    assert!(compiled.announce.contains(&(addr("172.16.1.254"), owned.announce)));
    assert_eq!(compiled.steering.addresses[&addr("172.16.1.254")], Share::Whole);
    assert_eq!(*compiled.groups, [(4, "ff02::1:ff00:fe".parse().unwrap())]);
    let gone = bench.compile(DEMO);
    assert!(gone.tables.addresses.get(&addr("172.16.1.254")).is_none());
    let errors =
        bench.errors(&format!("{DEMO}\n{}", routers.replace("172.16.1.254", "172.16.1.1")));
    assert!(errors[0].contains("router address 172.16.1.1 is an address of this host (on ens6)"));
}

#[test]
fn without_a_source_address_only_hairpin_clients_are_lost() {
    let mut bench = Bench::new();
    bench.topology.addresses.retain(|held| !held.net.addr().to_string().starts_with("172.16."));
    let text = DEMO.replace("ports = ", "mode = \"nat\"\nports = ");
    let compiled = bench.compile(&text);
    let told = compiled.warnings.iter().filter(|w| w.what.contains("to be the source towards"));
    assert!(told.count() >= 2, "{:#?}", compiled.warnings);
    assert!(!bench.errors(DEMO).is_empty());
}
