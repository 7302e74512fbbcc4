use portreeve::netlink::{Netlink, snapshot};

use super::netns::{in_netns, ip, run, until};

#[test]
fn queues_in_use_are_counted_not_those_that_could_be() {
    in_netns("queues_in_use_are_counted_not_those_that_could_be", async || {
        ip("link add va numrxqueues 4 numtxqueues 4 type veth peer name vb numrxqueues 1");
        ip("link add vc numrxqueues 4 numtxqueues 4 type veth peer name vd");
        run("ethtool", &["-L", "vc", "rx", "2"], "");
        let netlink = Netlink::connect().await.unwrap();
        assert_eq!(netlink.channels("va"), Some(4));
        assert_eq!(netlink.channels("vb"), Some(1));
        assert_eq!(netlink.channels("vc"), Some(2));
        assert_eq!(netlink.channels("nosuch"), None);
    });
}

#[test]
fn interfaces_without_channels_have_their_queues_counted_too() {
    in_netns("interfaces_without_channels_have_their_queues_counted_too", async || {
        ip("link add br0 type bridge");
        let topology = snapshot().await.unwrap();
        assert_eq!(topology.link("br0").unwrap().rx_queues, 1);
    });
}

#[test]
fn a_change_of_the_queue_count_is_seen() {
    in_netns("a_change_of_the_queue_count_is_seen", async || {
        ip("link add va numrxqueues 4 numtxqueues 4 type veth peer name vb");
        let mut netlink = Netlink::connect().await.unwrap();
        run("ethtool", &["-L", "va", "rx", "3"], "");
        let three = |t: &portreeve::topology::Topology| t.link("va").unwrap().rx_queues == 3;
        until(&mut netlink, "three queues", three).await;
    });
}
