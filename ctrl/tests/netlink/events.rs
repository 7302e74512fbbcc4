use std::fmt::Write as _;
use std::time::Duration;

use portreeve::netlink::{Netlink, snapshot};
use portreeve::topology::{Neighbour, RouteKind, Topology};

use tokio::time::Instant;

use super::iproute::{self, sorted};
use super::netns::{PATIENCE, in_netns, ip, quiet_veth_pair, run, until, veth_pair};

fn has_route(dest: &str) -> impl Fn(&Topology) -> bool {
    let dest = dest.parse().unwrap();
    move |topology| topology.routes.iter().any(|route| route.dest == dest)
}

/// Whether nothing changes, given that all events of what was done are in the socket already
/// (the kernel puts them there before the request returns).
async fn is_quiet(netlink: &mut Netlink) -> bool {
    tokio::time::timeout(Duration::from_millis(100), netlink.changed()).await.is_err()
}

#[test]
fn routes_addresses_and_links_are_followed() {
    in_netns("routes_addresses_and_links_are_followed", async || {
        veth_pair();
        let mut netlink = Netlink::connect().await.unwrap();
        ip("route add 192.0.2.0/24 via 10.0.0.9");
        until(&mut netlink, "v4 route", has_route("192.0.2.0/24")).await;
        ip("-6 route add 2001:db8:5::/48 via 2001:db8::9");
        until(&mut netlink, "v6 route", has_route("2001:db8:5::/48")).await;
        ip("route replace blackhole 192.0.2.0/24");
        let rejected = |topology: &Topology| {
            topology.routes.iter().any(|route| {
                route.kind == RouteKind::Rejected && has_route("192.0.2.0/24")(topology)
            })
        };
        until(&mut netlink, "blackhole", rejected).await;
        ip("addr add 10.0.0.77/24 dev va");
        let ours = "10.0.0.77/24".parse().unwrap();
        let owned = |topology: &Topology| topology.addresses.iter().any(|a| a.net == ours);
        until(&mut netlink, "address", owned).await;
        ip("link add vx mtu 1400 type veth peer name vy");
        until(&mut netlink, "link", |topology| topology.link("vx").is_some()).await;
        ip("link del vx");
        until(&mut netlink, "no link", |topology| topology.link("vx").is_none()).await;
        let shown = |topology: &Topology| sorted(topology.clone()) == iproute::topology();
        until(&mut netlink, "what iproute2 shows", shown).await;
    });
}

#[test]
fn routes_that_go_with_a_link_without_an_event_are_missed_by_nobody() {
    in_netns("routes_that_go_with_a_link_without_an_event_are_missed_by_nobody", async || {
        veth_pair();
        ip("route add 192.0.2.0/24 via 10.0.0.9");
        ip("nexthop add id 1 via 10.0.0.8 dev va");
        ip("route add 198.51.100.0/24 nhid 1");
        let mut netlink = Netlink::connect().await.unwrap();
        assert!(has_route("198.51.100.0/24")(netlink.topology()));
        ip("nexthop del id 1");
        until(&mut netlink, "no nhid route", |t| !has_route("198.51.100.0/24")(t)).await;
        ip("link set va down");
        until(&mut netlink, "no route", |t| !has_route("192.0.2.0/24")(t)).await;
        assert!(!netlink.topology().link("va").unwrap().up);
    });
}

#[test]
fn events_that_change_nothing_are_no_change() {
    in_netns("events_that_change_nothing_are_no_change", async || {
        quiet_veth_pair();
        ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev va nud reachable");
        let mut netlink = Netlink::connect().await.unwrap();
        while !is_quiet(&mut netlink).await {}
        for state in ["stale", "reachable", "delay", "stale"] {
            ip(&format!("neigh change 10.0.0.2 lladdr 02:00:00:00:00:02 dev va nud {state}"));
        }
        ip("route add 192.0.2.0/24 via 10.0.0.9 table 77");
        ip("link set va alias nothing");
        assert!(is_quiet(&mut netlink).await);
        ip("neigh change 10.0.0.2 dev va lladdr 02:00:00:00:00:03 nud reachable");
        assert!(!is_quiet(&mut netlink).await);
    });
}

#[test]
fn many_events_are_one_change() {
    in_netns("many_events_are_one_change", async || {
        quiet_veth_pair();
        let mut netlink = Netlink::connect().await.unwrap();
        while !is_quiet(&mut netlink).await {}
        run("ip", &["-batch", "-"], &neighbours("add", 2..200));
        run(
            "ip",
            &["-batch", "-"],
            "route add 192.0.2.0/24 via 10.0.0.250\nlink set vb mtu 1400\n",
        );
        netlink.changed().await.unwrap();
        assert_eq!(sorted(netlink.topology().clone()), iproute::topology());
        assert!(is_quiet(&mut netlink).await);
    });
}

#[test]
fn a_future_that_is_dropped_again_and_again_loses_nothing() {
    in_netns("a_future_that_is_dropped_again_and_again_loses_nothing", async || {
        quiet_veth_pair();
        let mut netlink = Netlink::connect().await.unwrap();
        while !is_quiet(&mut netlink).await {}
        for round in 0..50 {
            let dest = format!("192.0.2.{round}/32");
            ip(&format!("route add {dest} via 10.0.0.9"));
            let dropped = async {
                // Each turn polls once, so that a read is cut short wherever it waits.
                loop {
                    tokio::select! {
                        biased;
                        changed = netlink.changed() => return changed.unwrap(),
                        () = tokio::task::yield_now() => {}
                    }
                }
            };
            tokio::time::timeout(PATIENCE, dropped).await.unwrap();
            assert!(has_route(&dest)(netlink.topology()), "{dest}");
        }
    });
}

/// Lines for `ip -batch`: entries 10.0.X.Y of `va`.
fn neighbours(verb: &str, numbers: std::ops::Range<u16>) -> String {
    let mut batch = String::new();
    for number in numbers {
        let [x, y] = number.to_be_bytes();
        let mac = format!("02:00:00:00:{x:02x}:{y:02x}");
        writeln!(batch, "neigh {verb} 10.0.{x}.{y} lladdr {mac} dev va nud permanent").unwrap();
    }
    batch
}

/// Waits until the picture is what a snapshot shows, with no event made here to help. Snapshots
/// are taken anew: one can lack a neighbour while other tests are busy with theirs.
async fn agree(netlink: &mut Netlink) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let fresh = snapshot().await.unwrap();
        if *netlink.topology() == fresh {
            return;
        }
        assert!(Instant::now() < deadline, "{}", difference(netlink.topology(), &fresh));
        if let Ok(changed) = tokio::time::timeout(PATIENCE / 10, netlink.changed()).await {
            changed.unwrap();
        }
    }
}

fn difference(ours: &Topology, theirs: &Topology) -> String {
    let lacking = |of: &Topology, from: &Topology| -> Vec<Neighbour> {
        let of = of.neighbours.iter();
        of.filter(|entry| !from.neighbours.contains(entry)).cloned().collect()
    };
    format!("unseen {:?}, outlived {:?}", lacking(theirs, ours), lacking(ours, theirs))
}

#[test]
fn what_overruns_the_socket_is_read_anew() {
    in_netns("what_overruns_the_socket_is_read_anew", async || {
        quiet_veth_pair();
        let mut netlink = Netlink::connect_buffered(8 << 10).await.unwrap();
        // This thread, and so the reader, stands still meanwhile.
        run("ip", &["-batch", "-"], &neighbours("add", 256..5256));
        run("ip", &["-batch", "-"], &neighbours("del", 1000..2000));
        netlink.changed().await.unwrap();
        assert!(netlink.overruns() > 0);
        agree(&mut netlink).await;
        assert!(netlink.topology().neighbours.len() >= 4000);
    });
}

#[test]
fn overruns_while_reading_lose_nothing() {
    in_netns("overruns_while_reading_lose_nothing", async || {
        quiet_veth_pair();
        let mut netlink = Netlink::connect_buffered(8 << 10).await.unwrap();
        let netns = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let storm = std::thread::spawn(move || {
            nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            for start in [256, 3256, 6256] {
                run("ip", &["-batch", "-"], &neighbours("add", start..start + 3000));
                run("ip", &["-batch", "-"], &neighbours("change", start..start + 1000));
                run("ip", &["-batch", "-"], &neighbours("del", start..start + 1500));
            }
        });
        while !storm.is_finished() {
            if let Ok(changed) =
                tokio::time::timeout(Duration::from_millis(5), netlink.changed()).await
            {
                changed.unwrap();
            }
        }
        storm.join().unwrap();
        assert!(netlink.overruns() > 1, "{} overruns", netlink.overruns());
        agree(&mut netlink).await;
    });
}
