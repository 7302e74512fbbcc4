use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use dataplane::addr::Mac;
use portreeve::netlink::Netlink;
use portreeve::topology::Topology;
use serde_json::Value;
use tokio::time::Instant;

use super::iproute::{mac, shown_neighbour};
use super::netns::{PATIENCE, Peer, in_netns, ip, until, veth_pair, veth_to};

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `None`: no entry; `Some(None)`: an entry without a usable MAC.
fn neighbour(topology: &Topology, addr: IpAddr) -> Option<Option<Mac>> {
    topology.neighbours.iter().find(|entry| entry.addr == addr).map(|entry| entry.mac)
}

fn resolved(addr: IpAddr) -> impl Fn(&Topology) -> bool {
    move |topology| matches!(neighbour(topology, addr), Some(Some(_)))
}

#[test]
fn a_managed_neighbour_is_resolved_and_followed() {
    in_netns("a_managed_neighbour_is_resolved_and_followed", async || {
        let peer = Peer::new();
        let va = veth_to(&peer);
        peer.ip("link set vb address 02:00:00:00:00:02");
        let mut netlink = Netlink::connect().await.unwrap();
        for target in ["10.0.0.2", "2001:db8::2"].map(addr) {
            assert!(netlink.manage(va, target).await.unwrap());
            until(&mut netlink, "resolved", resolved(target)).await;
            let shown = shown_neighbour(&target.to_string());
            assert_eq!(shown["state"][0], "REACHABLE", "{shown}");
            assert_eq!(shown["lladdr"], "02:00:00:00:00:02", "{shown}");
        }
        ip("neigh change 10.0.0.2 lladdr 02:00:00:00:00:22 dev va nud reachable");
        netlink.changed().await.unwrap();
        let found = neighbour(netlink.topology(), addr("10.0.0.2"));
        assert_eq!(found, Some(Some(mac("02:00:00:00:00:22"))));
    });
}

#[test]
fn we_install_what_iproute2_would() {
    in_netns("we_install_what_iproute2_would", async || {
        let va = veth_pair();
        let mut netlink = Netlink::connect().await.unwrap();
        netlink.manage(va, addr("10.0.0.8")).await.unwrap();
        ip("neigh add 10.0.0.9 dev va managed extern_learn protocol 80");
        let (mut ours, mut theirs) = (shown_neighbour("10.0.0.8"), shown_neighbour("10.0.0.9"));
        for shown in [&mut ours, &mut theirs] {
            shown["dst"].take();
        }
        assert_eq!(ours, theirs);
        let flags = ours.as_object().unwrap();
        assert!(flags.contains_key("managed") && flags.contains_key("extern_learn"), "{ours}");
        assert_eq!(ours["state"][0], "INCOMPLETE");
    });
}

#[test]
fn a_neighbour_that_does_not_answer_has_no_mac_until_it_does() {
    in_netns("a_neighbour_that_does_not_answer_has_no_mac_until_it_does", async || {
        let peer = Peer::new();
        let va = veth_to(&peer);
        ip("ntable change name arp_cache dev va retrans 50");
        let mut monitor = Monitor::start();
        let mut netlink = Netlink::connect().await.unwrap();
        let silent = addr("10.0.0.3");
        netlink.manage(va, silent).await.unwrap();
        monitor.wait_for(&["10.0.0.3 ", "FAILED"]);
        until(&mut netlink, "known", |topology| neighbour(topology, silent).is_some()).await;
        assert_eq!(neighbour(netlink.topology(), silent), Some(None));
        // Now it answers, and nobody but the kernel itself asks again.
        peer.ip("addr add 10.0.0.3/24 dev vb");
        until(&mut netlink, "resolved", resolved(silent)).await;
    });
}

#[test]
fn entries_that_go_with_the_carrier_are_a_change_and_come_back_when_asked_for_again() {
    let name = "entries_that_go_with_the_carrier_are_a_change_and_come_back_when_asked_for_again";
    in_netns(name, async || {
        let peer = Peer::new();
        let va = veth_to(&peer);
        let mut netlink = Netlink::connect().await.unwrap();
        let wanted = BTreeSet::from([(va, addr("10.0.0.2")), (va, addr("10.0.0.3"))]);
        netlink.manage_only(&wanted).await.unwrap();
        // Before any event has been taken: the picture never shows them.
        peer.ip("link set vb down");
        let deadline = Instant::now() + PATIENCE;
        while ip("neigh show nud all to 10.0.0.0/24").contains("10.0.0.2") {
            assert!(Instant::now() < deadline, "the kernel keeps its neighbours");
        }
        peer.ip("link set vb up");
        peer.ip("addr add 10.0.0.3/24 dev vb");
        let all_there = |topology: &Topology| {
            ["10.0.0.2", "10.0.0.3"].iter().all(|target| resolved(addr(target))(topology))
        };
        while !all_there(netlink.topology()) {
            let changed = tokio::time::timeout(PATIENCE, netlink.changed()).await;
            changed.expect("a loss that no change tells of").unwrap();
            netlink.manage_only(&wanted).await.unwrap();
        }
    });
}

#[test]
fn a_probe_resolves_and_leaves_collecting_to_the_kernel() {
    in_netns("a_probe_resolves_and_leaves_collecting_to_the_kernel", async || {
        let peer = Peer::new();
        let va = veth_to(&peer);
        let mut netlink = Netlink::connect().await.unwrap();
        let target = addr("10.0.0.2");
        assert!(!netlink.refresh(va, target).await.unwrap(), "nothing to refresh yet");
        netlink.probe(va, target).await.unwrap();
        until(&mut netlink, "resolved", resolved(target)).await;
        assert!(netlink.refresh(va, target).await.unwrap());
        let shown = shown_neighbour("10.0.0.2");
        assert_eq!(shown.get("managed"), None, "{shown}");
        assert_eq!(shown["state"][0], "REACHABLE", "{shown}");
        assert!(netlink.remove(va, target).await.unwrap());
        until(&mut netlink, "gone", |topology| neighbour(topology, target).is_none()).await;
    });
}

#[test]
fn a_managed_neighbour_that_is_refreshed_or_probed_stays_managed() {
    in_netns("a_managed_neighbour_that_is_refreshed_or_probed_stays_managed", async || {
        let peer = Peer::new();
        let va = veth_to(&peer);
        let mut netlink = Netlink::connect().await.unwrap();
        for target in ["10.0.0.2", "10.0.0.3"] {
            netlink.manage(va, addr(target)).await.unwrap();
            assert!(netlink.refresh(va, addr(target)).await.unwrap());
            netlink.probe(va, addr(target)).await.unwrap();
            let shown = shown_neighbour(target);
            let flags = shown.as_object().unwrap();
            assert!(flags.contains_key("managed") && flags.contains_key("extern_learn"), "{shown}");
        }
    });
}

#[test]
fn entries_of_others_stay_as_they_are() {
    in_netns("entries_of_others_stay_as_they_are", async || {
        let va = veth_pair();
        ip("neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev va nud permanent");
        ip("neigh add 10.0.0.6 dev va managed extern_learn");
        ip("neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev va nud stale");
        let mut netlink = Netlink::connect().await.unwrap();
        for target in ["10.0.0.5", "10.0.0.6"].map(addr) {
            let before = shown_neighbour(&target.to_string());
            assert!(!netlink.manage(va, target).await.unwrap());
            assert!(!netlink.remove(va, target).await.unwrap());
            assert_eq!(shown_neighbour(&target.to_string()), before);
        }
        netlink.probe(va, addr("10.0.0.5")).await.unwrap();
        netlink.refresh(va, addr("10.0.0.5")).await.unwrap();
        assert_eq!(shown_neighbour("10.0.0.5")["state"][0], "PERMANENT");
        netlink.refresh(va, addr("10.0.0.7")).await.unwrap();
        assert!(!netlink.remove(va, addr("10.0.0.7")).await.unwrap());
        assert_eq!(shown_neighbour("10.0.0.7")["state"][0], "DELAY");
    });
}

#[test]
fn a_new_run_finds_the_entries_of_the_last_one() {
    in_netns("a_new_run_finds_the_entries_of_the_last_one", async || {
        let va = veth_pair();
        ip("neigh add 10.0.0.6 dev va managed extern_learn");
        let wanted = |last: &[u8]| -> BTreeSet<(u32, IpAddr)> {
            last.iter().map(|last| (va, IpAddr::from([10, 0, 0, *last]))).collect()
        };
        let mut first = Netlink::connect().await.unwrap();
        first.manage_only(&wanted(&[20, 21])).await.unwrap();
        drop(first);
        let mut second = Netlink::connect().await.unwrap();
        second.manage_only(&wanted(&[21, 22])).await.unwrap();
        let shown: Vec<Value> =
            serde_json::from_str(&ip("-j neigh show dev va nud all to 10.0.0.0/24")).unwrap();
        let mut managed: Vec<&str> = shown
            .iter()
            .filter(|entry| entry.get("managed").is_some())
            .map(|entry| entry["dst"].as_str().unwrap())
            .collect();
        managed.sort_unstable();
        assert_eq!(managed, ["10.0.0.21", "10.0.0.22", "10.0.0.6"]);
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    in_netns("an_interface_that_does_not_exist_is_named", async || {
        let mut netlink = Netlink::connect().await.unwrap();
        let error = netlink.manage(77, addr("10.0.0.2")).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("install managed neighbour 10.0.0.2 on interface 77: "), "{text}");
    });
}

/// `ip monitor neigh`, which tells states that the topology does not.
struct Monitor(Child);

impl Monitor {
    fn start() -> Self {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).args(["ip", "monitor", "neigh"]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        Self(child)
    }

    fn wait_for(&mut self, words: &[&str]) {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let found = lines.map(Result::unwrap).any(|line| words.iter().all(|w| line.contains(w)));
        assert!(found, "ip monitor ended");
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
