use dataplane::addr::Mac;
use dataplane::tables::route::HopRef;
use dataplane::tables::{PortId, Vlan};
use portreeve::topology::{KernelRoute, Link, LinkAddress, RouteKind, VlanLink};

use super::*;

/// `ens7.7`, VLAN 7 of `ens7`, with this kernel index.
fn add_vlan(topology: &mut Topology, ifindex: u32) {
    let parent = topology.link("ens7").unwrap().ifindex;
    let net = "172.31.0.1/24".parse::<ipnet::IpNet>().unwrap();
    topology.links.push(Link {
        ifindex,
        name: "ens7.7".into(),
        mac: Mac([2, 0, 0, 0, 0, 7]),
        mtu: 1_400,
        up: true,
        rx_queues: 1,
    });
    topology.vlans.push(VlanLink { ifindex, parent, id: 7 });
    topology.addresses.push(LinkAddress { ifindex, net, global: true, permanent: true });
    let route = KernelRoute {
        dest: net.trunc(),
        kind: RouteKind::Unicast,
        ifindex: Some(ifindex),
        gateway: None,
        metric: 0,
        mtu: None,
    };
    topology.routes.push(route);
}

fn remove_vlan(topology: &mut Topology, ifindex: u32) {
    topology.links.retain(|link| link.ifindex != ifindex);
    topology.vlans.clear();
    topology.addresses.retain(|address| address.ifindex != ifindex);
    topology.routes.retain(|route| route.ifindex != Some(ifindex));
}

const IN_VLAN: &str = r#"
[[port]]
name = "ens5"
[[port]]
name = "ens7"
[[service]]
name = "web"
vip = "10.10.200.1"
ports = [{ port = 80 }]
announce = ["ens7.7"]
backends = ["172.31.0.9"]
"#;

#[test]
fn a_route_through_a_vlan_device_leads_through_the_port_with_its_tag() {
    let mut bench = Bench::new();
    add_vlan(&mut bench.topology, 70);
    let mut neighbour = neighbour("ens7", "172.31.0.9", 9);
    neighbour.ifindex = 70;
    bench.topology.neighbours.push(neighbour);
    let compiled = bench.compiler.compile(&desired(IN_VLAN), &bench.topology, at(0)).unwrap();
    let tables = &compiled.tables;
    assert_eq!(*tables.vlans, [Vlan { port: PortId(2), parent: PortId(1), id: 7 }]);
    assert_eq!((&*tables.ports[2].name, tables.ports[2].mtu), ("ens7.7", 1_400));
    let (_, backend) = tables.backends.iter().next().unwrap();
    let HopRef::Via { hop, mtu: 1_400 } = backend.hop else { panic!("{:?}", backend.hop) };
    assert_eq!(tables.routing.hop(hop).unwrap().port, PortId(2));
    assert_eq!(tables.port(PortId(2)).ipv4, Some(addr("172.31.0.1")), "the source towards it");
    assert_eq!(compiled.announce[..], [(addr("10.10.200.1"), PortMask::NONE.with(PortId(2)))]);
    assert!(compiled.wanted_neighbours.iter().any(|wanted| wanted.ifindex == 70));
}

#[test]
fn a_vlan_that_goes_and_comes_again_keeps_its_id() {
    let mut bench = Bench::new();
    add_vlan(&mut bench.topology, 70);
    let wish = desired(IN_VLAN);
    bench.compiler.compile(&wish, &bench.topology, at(0)).unwrap();
    remove_vlan(&mut bench.topology, 70);
    let without = bench.compiler.recompile(&wish, &bench.topology, at(1)).unwrap();
    assert!(without.tables.vlans.is_empty());
    assert!(without.warnings.iter().any(|warning| warning.what.contains("172.31.0.9")));
    let (_, backend) = without.tables.backends.iter().next().unwrap();
    assert_eq!(backend.hop, HopRef::Unreachable);
    add_vlan(&mut bench.topology, 71);
    let again = bench.compiler.recompile(&wish, &bench.topology, at(2)).unwrap();
    assert_eq!(*again.tables.vlans, [Vlan { port: PortId(2), parent: PortId(1), id: 7 }]);
    assert_eq!(again.tables.ports.len(), 3);
}

#[test]
fn a_vlan_of_an_interface_that_is_no_port_is_none_of_ours() {
    let mut bench = Bench::new();
    add_vlan(&mut bench.topology, 70);
    bench.topology.vlans[0].parent = 999;
    let problems = bench.compiler.compile(&desired(IN_VLAN), &bench.topology, at(0)).unwrap_err();
    assert!(problems.iter().any(|problem| problem.what.contains("ens7.7")), "{problems:?}");
}
