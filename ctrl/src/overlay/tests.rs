use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::*;
use crate::desired::VipsAtStart;
use crate::health::{Target, targets};
use crate::source::toml::load;

const FILE: &str = r#"
[[port]]
name = "ens5"
[[service]]
name = "web"
vips = ["10.10.200.1", "fd00:200::1"]
ports = [{ port = 80, target = 8080 }, { port = 443 }]
backends = ["172.16.1.1", "172.16.1.2", "fd00::1", { address = "172.16.1.3", weight = 0 }]
health = { kind = "tcp" }
[[service]]
name = "hard"
vip = "10.10.200.2"
ports = [{ port = 80, target = 8080 }]
backends = ["172.16.1.1", "172.16.1.2"]
health = { kind = "tcp", reset_on_fail = true, panic = false }
[[service]]
name = "plain"
vip = "10.10.200.3"
ports = [{ port = 80 }]
backends = ["172.16.1.1", "172.16.1.2"]
"#;

struct World {
    source: Desired,
    overlay: Overlay,
    drains: Drains,
    holds: Holds,
    failed: Failed,
    stalled: bool,
}

impl World {
    fn new() -> Self {
        Self {
            source: load("t", FILE).unwrap().desired,
            overlay: Overlay::default(),
            drains: Drains::default(),
            holds: Holds::new(VipsAtStart::Held, Duration::from_secs(10)),
            failed: Failed::default(),
            stalled: false,
        }
    }

    fn apply(&mut self) -> Effective {
        let Self { drains, holds, failed, stalled, .. } = self;
        let facts = Facts { drains, holds, failed, stalled: *stalled };
        self.overlay.apply(&self.source, facts, Duration::ZERO)
    }

    /// Checks of these addresses fail.
    fn fail(&mut self, down: &[&str]) {
        let down: Vec<IpAddr> = down.iter().map(|addr| addr.parse().unwrap()).collect();
        let all = targets(&self.source).into_iter();
        self.failed = all.filter(|target: &Arc<Target>| down.contains(&target.address)).collect();
    }

    fn drain(&mut self, what: &str) -> Drained {
        let what = match what.parse::<SocketAddr>() {
            Ok(at) => Drained::Backend(at.ip().into(), Some(at.port())),
            Err(_) => Drained::Backend(what.parse::<IpAddr>().unwrap().into(), None),
        };
        self.drains.add(what, SystemTime::UNIX_EPOCH);
        what
    }
}

/// Backends with their weights.
fn weights(effective: &Effective, service: usize) -> Vec<(String, u16)> {
    let backends = effective.desired.services[service].backends.iter();
    backends.map(|backend| (backend.address.value.to_string(), backend.weight)).collect()
}

fn expect(weights: &[(&str, u16)]) -> Vec<(String, u16)> {
    weights.iter().map(|(addr, weight)| ((*addr).to_owned(), *weight)).collect()
}

#[test]
fn without_facts_everything_is_the_same() {
    let mut world = World::new();
    let effective = world.apply();
    assert_eq!(effective.desired, world.source);
    let pairs = world.source.services.iter().zip(&effective.desired.services);
    assert!(pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn a_failed_backend_is_drained_or_removed_as_its_service_wants_and_elsewhere_untouched() {
    let mut world = World::new();
    world.fail(&["172.16.1.1"]);
    let effective = world.apply();
    let web = [("172.16.1.1", 0), ("172.16.1.2", 100), ("fd00::1", 100), ("172.16.1.3", 0)];
    assert_eq!(weights(&effective, 0), expect(&web));
    assert_eq!(weights(&effective, 1), expect(&[("172.16.1.2", 100)]));
    assert!(Arc::ptr_eq(&effective.desired.services[2], &world.source.services[2]));
    assert!(effective.panics.is_empty());
}

#[test]
fn a_removed_backend_does_not_change_the_size_of_the_table() {
    let mut world = World::new();
    world.fail(&["172.16.1.1"]);
    let size = world.apply().desired.services[1].table_size.clone().unwrap().value;
    assert_eq!(size, TableSize::Fixed(auto_size(2)));
}

#[test]
fn when_all_have_failed_all_are_used_unless_that_is_switched_off() {
    let mut world = World::new();
    world.fail(&["172.16.1.1", "172.16.1.2"]);
    let effective = world.apply();
    assert_eq!(weights(&effective, 0), weights(&World::new().apply(), 0));
    assert_eq!(Vec::from_iter(&effective.panics), [&(Arc::from("web"), Family::V4)]);
    assert_eq!(weights(&effective, 1), []);
    assert_eq!(Vec::from_iter(&effective.refusing), [&(Arc::from("hard"), Family::V4)]);
    world.fail(&["172.16.1.1"]);
    assert!(world.apply().refusing.is_empty());
}

#[test]
fn drained_backends_do_not_count_for_panic_and_stay_drained_in_it() {
    let mut world = World::new();
    world.fail(&["172.16.1.1", "fd00::1"]);
    world.drain("172.16.1.2");
    let effective = world.apply();
    let web = [("172.16.1.1", 100), ("172.16.1.2", 0), ("fd00::1", 100), ("172.16.1.3", 0)];
    assert_eq!(weights(&effective, 0), expect(&web));
    assert_eq!(effective.panics.len(), 2, "IPv4 and IPv6 each for themselves");
}

#[test]
fn a_drain_with_a_port_reaches_only_services_that_send_there() {
    let mut world = World::new();
    let what = world.drain("172.16.1.1:8080");
    let effective = world.apply();
    assert_eq!(weights(&effective, 1), expect(&[("172.16.1.1", 0), ("172.16.1.2", 100)]));
    assert!(Arc::ptr_eq(&effective.desired.services[2], &world.source.services[2]));
    assert!(world.drains.remove(what) && !world.drains.remove(what));
    assert_eq!(world.apply().desired, world.source);
}

#[test]
fn a_drain_of_the_whole_backend_stands_when_that_at_a_port_ends_and_the_other_way_round() {
    let mut world = World::new();
    let whole = world.drain("172.16.1.1");
    let at_port = world.drain("172.16.1.1:8080");
    world.drain("172.16.1.1:443");
    world.drain("172.16.1.2");
    assert_eq!(Vec::from_iter(world.drains.others(at_port)), [whole]);
    assert_eq!(world.drains.others(whole).count(), 2);
}

#[test]
fn the_same_facts_give_the_same_pointers() {
    let mut world = World::new();
    world.fail(&["172.16.1.1"]);
    let first = world.apply();
    world.drain("fd00::1");
    let second = world.apply();
    let same: Vec<bool> = first
        .desired
        .services
        .iter()
        .zip(&second.desired.services)
        .map(|(a, b)| Arc::ptr_eq(a, b))
        .collect();
    assert_eq!(same, [false, true, true]);
}

#[test]
fn only_addresses_apart_from_the_rule_are_named() {
    let mut world = World::new();
    let vip = |text: &str| Addr::from(text.parse::<IpAddr>().unwrap());
    world.holds.release(vip("10.10.200.2"), Duration::ZERO);
    world.drains.add(Drained::Vip(vip("fd00:200::1")), SystemTime::UNIX_EPOCH);
    let apart = Arc::clone(&world.apply().desired.apart);
    let lingers = AddressState { announced: false, steered: true, open: true };
    let drained = AddressState { open: false, ..AddressState::default() };
    let want = Apart::from([(vip("10.10.200.2"), lingers), (vip("fd00:200::1"), drained)]);
    assert_eq!(*apart, want);
    assert!(Arc::ptr_eq(&apart, &world.apply().desired.apart), "nothing changed");
}

#[test]
fn while_a_worker_hangs_nothing_is_announced_and_all_is_steered() {
    let mut world = World::new();
    world.stalled = true;
    let apart = world.apply().desired.apart;
    let silent = AddressState { announced: false, ..AddressState::default() };
    assert!(apart.keys().eq(&addresses(&world.source)) && apart.values().all(|s| *s == silent));
    world.stalled = false;
    assert!(world.apply().desired.apart.is_empty());
}
