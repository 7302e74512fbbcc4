use portreeve::netlink::{Netlink, snapshot};
use portreeve::topology::Topology;

use super::iproute::{self, NOARP_MAC, sorted};
use super::netns::{in_netns, ip, veth_pair};

fn many_kinds_of_everything() {
    veth_pair();
    ip("link add vc address 02:00:00:00:00:0c numrxqueues 4 type veth peer name vd mtu 9000");
    ip("link set vc mtu 9000 up");
    ip("addr add 192.0.2.1/28 dev vc");
    ip("addr add 192.0.2.2/28 dev vc");
    ip("addr add 192.0.2.3/28 dev vc valid_lft 3600 preferred_lft 1800");
    ip("addr add 198.51.100.1 peer 198.51.100.2/32 dev vc");
    ip("route add default via 10.0.0.254 metric 50");
    ip("route add default via 10.0.0.253 metric 100 mtu 1400");
    ip("route add 203.0.113.0/24 nexthop via 10.0.0.3 weight 2 nexthop via 10.0.0.4");
    ip("route add 10.8.0.0/16 via inet6 fe80::1 dev va mtu 1300");
    ip("route add blackhole 10.7.0.0/16");
    ip("route add unreachable 10.6.0.0/16 metric 7");
    ip("route add 10.5.0.0/16 dev va scope link");
    ip("route add local 10.4.0.0/24 dev lo");
    ip("-6 route add default via 2001:db8::fe dev va");
    ip("-6 route add 2001:db8:1::/48 nexthop via 2001:db8::3 nexthop via 2001:db8::4");
    ip("-6 route add prohibit 2001:db8:2::/48");
    ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev va nud permanent");
    ip("neigh add 10.0.0.3 lladdr 02:00:00:00:00:03 dev va nud stale");
    ip("neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev va nud reachable");
    ip("neigh add 10.0.0.4 dev va nud incomplete");
    ip(&format!("neigh add 10.0.0.6 lladdr {NOARP_MAC} dev va nud noarp"));
    ip("neigh add proxy 10.0.0.77 dev va");
}

#[test]
fn snapshot_is_what_iproute2_prints() {
    in_netns("snapshot_is_what_iproute2_prints", async || {
        many_kinds_of_everything();
        assert_agreement(async || snapshot().await.unwrap()).await;
    });
}

#[test]
fn a_connection_begins_with_the_whole_picture() {
    in_netns("a_connection_begins_with_the_whole_picture", async || {
        many_kinds_of_everything();
        assert_agreement(async || Netlink::connect().await.unwrap().topology().clone()).await;
        let netlink = Netlink::connect().await.unwrap();
        assert_eq!(netlink.kind(netlink.topology().link("vc").unwrap().ifindex), Some("veth"));
        assert_eq!(netlink.kind(1), None);
    });
}

#[test]
fn routes_of_other_tables_and_of_some_packets_only_are_left_out() {
    in_netns("routes_of_other_tables_and_of_some_packets_only_are_left_out", async || {
        veth_pair();
        ip("route add 10.1.0.0/16 via 10.0.0.9 table 100");
        ip("route add 10.2.0.0/16 via 10.0.0.9 table 1000");
        ip("route add 10.3.0.0/16 via 10.0.0.9 tos 0x10");
        ip("-6 route add 2001:db8:3::/48 from 2001:db8::/64 dev va");
        let routes = snapshot().await.unwrap().routes;
        let outside = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "2001:db8:3::/48"];
        for dest in outside.map(|dest| dest.parse().unwrap()) {
            assert!(routes.iter().all(|route| route.dest != dest), "{dest}");
        }
    });
}

#[test]
fn the_primary_address_of_a_link_comes_first() {
    in_netns("the_primary_address_of_a_link_comes_first", async || {
        let va = veth_pair();
        ip("addr add 10.0.0.7/24 dev va");
        ip("addr add 10.0.0.5/24 dev va");
        let addresses = snapshot().await.unwrap().addresses;
        let on_va = addresses.iter().filter(|address| address.ifindex == va);
        let v4: Vec<String> = on_va
            .filter(|address| address.net.addr().is_ipv4())
            .map(|address| address.net.to_string())
            .collect();
        assert_eq!(v4, ["10.0.0.1/24", "10.0.0.7/24", "10.0.0.5/24"]);
    });
}

/// Ours is what iproute2 shows, at a moment at which it shows the same before and after (IPv6 is
/// busy with addresses and listener reports of its own for a while).
async fn assert_agreement(ours: impl AsyncFn() -> Topology) {
    for _ in 0..100 {
        let before = iproute::topology();
        let ours = sorted(ours().await);
        if before != iproute::topology() {
            continue;
        }
        assert!(before.routes.len() > 20 && before.neighbours.len() == 5, "{before:#?}");
        // Part by part, to be readable.
        assert_eq!(ours.links, before.links);
        assert_eq!(ours.addresses, before.addresses);
        assert_eq!(ours.routes, before.routes);
        assert_eq!(ours.neighbours, before.neighbours);
        return;
    }
    panic!("the kernel does not come to rest");
}
