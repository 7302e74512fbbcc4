use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use portreeve::groups::{SolicitedNodeGroups, solicited_node};
use serde_json::Value;

use super::netns::{in_netns, ip, veth_pair};

fn vip(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x77, number)
}

/// Solicited-node groups of our VIPs that `ifname` is a member of.
fn joined(ifname: &str) -> BTreeSet<Ipv6Addr> {
    let shown: Vec<Value> =
        serde_json::from_str(&ip(&format!("-j -6 maddr show dev {ifname}"))).unwrap();
    let groups = shown[0]["maddr"].as_array().unwrap().iter();
    let groups = groups.filter_map(|entry| entry["address"].as_str()?.parse::<Ipv6Addr>().ok());
    let ours = |group: &Ipv6Addr| group.segments()[6] == 0xff77 && group.segments()[7] < 1000;
    groups.filter(ours).collect()
}

fn groups(numbers: impl Iterator<Item = u16>) -> BTreeSet<Ipv6Addr> {
    numbers.map(|number| solicited_node(vip(number))).collect()
}

#[test]
fn hundreds_of_groups_are_joined_and_left_by_difference() {
    in_netns("hundreds_of_groups_are_joined_and_left_by_difference", async || {
        let va = veth_pair();
        let vb = nix::net::if_::if_nametoindex("vb").unwrap();
        let mut held = SolicitedNodeGroups::default();
        held.set(&(0..450).map(|number| (va, vip(number))).collect()).unwrap();
        assert_eq!(joined("va"), groups(0..450));
        let next = (200..250).map(|number| (va, vip(number)));
        held.set(&next.chain([(vb, vip(7))]).collect()).unwrap();
        assert_eq!(joined("va"), groups(200..250));
        assert_eq!(joined("vb"), groups(7..8));
        drop(held);
        assert_eq!(joined("va"), BTreeSet::new());
    });
}

#[test]
fn a_group_that_two_vips_share_stays_until_both_are_gone() {
    in_netns("a_group_that_two_vips_share_stays_until_both_are_gone", async || {
        let va = veth_pair();
        let twin = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x1177, 1);
        let mut held = SolicitedNodeGroups::default();
        held.set(&BTreeSet::from([(va, vip(1)), (va, twin)])).unwrap();
        held.set(&BTreeSet::from([(va, twin)])).unwrap();
        assert_eq!(joined("va"), groups(1..2));
        held.set(&BTreeSet::new()).unwrap();
        assert_eq!(joined("va"), BTreeSet::new());
    });
}

#[test]
fn a_group_that_cannot_be_joined_does_not_keep_others_out_and_is_tried_again() {
    in_netns(
        "a_group_that_cannot_be_joined_does_not_keep_others_out_and_is_tried_again",
        async || {
            let va = veth_pair();
            let mut held = SolicitedNodeGroups::default();
            let wanted = BTreeSet::from([(va, vip(1)), (900, vip(2))]);
            assert!(held.set(&wanted).unwrap_err().to_string().contains("on interface 900"));
            assert_eq!(joined("va"), groups(1..2));
            ip("link add vx index 900 type veth peer name vy");
            ip("link set vx up");
            held.set(&wanted).unwrap();
            assert_eq!(joined("vx"), groups(2..3));
        },
    );
}
