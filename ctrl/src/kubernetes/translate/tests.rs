use std::net::IpAddr;

use dataplane::tables::frontend::Mode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts::Entrance;
use super::*;
use crate::desired::{Affinity, Desired, PortSettings, XdpMode};
use crate::kubernetes::snapshot::MaglevHints;
use crate::validate::validate_alone;

fn facts(path: Path) -> Facts {
    let entrance = |node: &str, addresses: &[&str]| Entrance {
        node: node.to_owned(),
        addresses: addresses.iter().map(|addr| addr.parse().unwrap()).collect(),
    };
    let nodes = vec![entrance("a", &["10.0.0.1", "fd00::1"]), entrance("b", &["10.0.0.2"])];
    Facts { path, nodes, routes: Arc::default(), maglev: MaglevHints::default() }
}

/// A service of type `LoadBalancer` at 10.9.0.1, with `spec` over what it has otherwise.
fn service(spec: Value, annotations: Value) -> Service {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.9.0.1"}]}},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn slice(ports: Value, endpoints: Value) -> EndpointSlice {
    let object = json!({
        "metadata": {"name": "web-1", "namespace": "shop"},
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
    });
    serde_json::from_value(object).unwrap()
}

/// An endpoint with a word for each thing that is said of it.
fn endpoint(address: &str, words: &str) -> Value {
    let said = |word: &str| words.contains(word);
    json!({"addresses": [address], "nodeName": if said("on-b") { "b" } else { "a" }, "conditions": {
        "ready": said("ready"), "serving": said("serving"), "terminating": said("terminating"),
    }})
}

fn pods(service: &Service, slices: &[&EndpointSlice]) -> Translated {
    translate(service, slices, &facts(Path::Pods))
}

fn plain() -> Service {
    service(json!({}), json!({}))
}

fn reasons(translated: &Translated) -> Vec<&str> {
    translated.complaints.iter().map(|complaint| complaint.reason).collect()
}

/// `address:port=weight` of each backend.
fn backends(service: &desired::Service) -> Vec<String> {
    let target = service.ports[0].target;
    let backends = service.backends.iter();
    backends
        .map(|b| format!("{}:{}={}", b.address.value, b.port.unwrap_or(target), b.weight))
        .collect()
}

#[test]
fn endpoints_get_what_their_state_allows() {
    let all = [
        endpoint("10.1.0.1", "ready serving"),
        endpoint("10.1.0.2", "serving terminating"),
        endpoint("10.1.0.3", "terminating"),
        endpoint("10.1.0.4", ""),
        // Cilium takes the word of one that says both.
        endpoint("10.1.0.5", "ready serving terminating"),
    ];
    let found = pods(&plain(), &[&slice(json!([{"port": 8080}]), json!(all))]);
    let want = ["10.1.0.1:8080=100", "10.1.0.2:8080=0", "10.1.0.4:8080=0", "10.1.0.5:8080=100"];
    assert_eq!(backends(&found.services[0]), want);
    assert_eq!(&*found.services[0].name.value, "shop/web");
    assert_eq!(found.services[0].announce, Announce::None);
    // Nobody else is there: those that end serve to the last (KEP-1669).
    let found = pods(&plain(), &[&slice(json!([{"port": 8080}]), json!(all[1..4]))]);
    assert_eq!(backends(&found.services[0]), ["10.1.0.2:8080=100", "10.1.0.4:8080=0"]);
    assert!(found.complaints.is_empty());
}

#[test]
fn an_endpoint_of_two_slices_is_as_well_as_the_better_one_says() {
    let old = slice(json!([{"port": 80}]), json!([endpoint("10.1.0.1", "serving terminating")]));
    let new = slice(json!([{"port": 80}]), json!([endpoint("10.1.0.1", "ready serving")]));
    for slices in [[&old, &new], [&new, &old]] {
        assert_eq!(backends(&pods(&plain(), &slices).services[0]), ["10.1.0.1:80=100"]);
    }
}

#[test]
fn a_service_without_endpoints_refuses_and_one_without_an_address_waits() {
    let found = pods(&plain(), &[]);
    assert!(found.services[0].backends.is_empty());
    let mut waiting = plain();
    waiting.status.load_balancer.ingress.clear();
    let found = pods(&waiting, &[]);
    assert_eq!((found.services.len(), found.complaints.len()), (0, 0));
}

#[test]
fn ports_with_the_same_backends_are_one_service_and_others_are_told_by_their_name() {
    let ports = json!({"ports": [
        {"name": "http", "port": 80}, {"name": "https", "port": 443}, {"name": "dns", "port": 53, "protocol": "UDP"},
    ]});
    let web = service(ports, json!({}));
    let all = json!([{"name": "http", "port": 8080}, {"name": "https", "port": 8443},
        {"name": "dns", "port": 5353, "protocol": "UDP"}]);
    let whole = pods(&web, &[&slice(all, json!([endpoint("10.1.0.1", "ready serving")]))]);
    let targets: Vec<_> = whole.services[0].ports.iter().map(|port| port.target).collect();
    assert_eq!((whole.services.len(), targets), (1, vec![8080, 8443, 5353]));
    // A pod whose image has another number behind the name `https`.
    let one = json!([{"name": "http", "port": 8080}, {"name": "https", "port": 8443}]);
    let other = json!([{"name": "http", "port": 8080}, {"name": "https", "port": 9443}]);
    let slices = [
        &slice(one, json!([endpoint("10.1.0.1", "ready serving")])),
        &slice(other, json!([endpoint("10.1.0.2", "ready serving")])),
    ];
    let split = pods(&web, &slices);
    let shown: Vec<_> = split
        .services
        .iter()
        .map(|service| format!("{} {}", service.name.value, backends(service).join(" ")))
        .collect();
    let want = [
        "shop/web:http 10.1.0.1:8080=100 10.1.0.2:8080=100",
        "shop/web:https 10.1.0.1:8443=100 10.1.0.2:9443=100",
        "shop/web:dns ",
    ];
    assert_eq!(shown, want);
}

#[test]
fn a_family_without_endpoints_stands_apart() {
    let mut web = plain();
    let both = json!([{"ip": "10.9.0.1"}, {"ip": "fd00:9::1"}]);
    web.status.load_balancer.ingress = serde_json::from_value(both).unwrap();
    let v4 = slice(json!([{"port": 80}]), json!([endpoint("10.1.0.1", "ready serving")]));
    let found = pods(&web, &[&v4]);
    let shown: Vec<_> = found
        .services
        .iter()
        .map(|s| (s.name.value.to_string(), s.vips[0].value.to_string()))
        .collect();
    let pair = |name: &str, vip: &str| (name.to_owned(), vip.to_owned());
    let want = [pair("shop/web:80-tcp", "10.9.0.1"), pair("shop/web:80-tcp:ipv6", "fd00:9::1")];
    assert_eq!(shown, want);
    assert!(found.services[1].backends.is_empty());
}

#[test]
fn only_addresses_that_are_ours_are_served() {
    let vips = |service: &Service| -> Vec<String> {
        let found = pods(service, &[]);
        let vips = found.services.iter().flat_map(|service| service.vips.clone());
        vips.map(|vip| vip.value.to_string()).collect()
    };
    let spec = |spec: Value| service(spec, json!({}));
    assert_eq!(vips(&spec(json!({"loadBalancerClass": "io.cilium/l2-announcer"}))), ["10.9.0.1"]);
    let foreign = json!({"loadBalancerClass": "example.com/lb", "externalIPs": ["10.9.0.7"]});
    assert_eq!(vips(&spec(foreign)), ["10.9.0.7"]);
    let cluster = json!({"type": "ClusterIP", "externalIPs": ["10.9.0.7", "10.9.0.7"]});
    assert_eq!(vips(&spec(cluster)), ["10.9.0.7"]);
    assert!(vips(&spec(json!({"clusterIP": "None"}))).is_empty());
    assert!(vips(&service(json!({}), json!({"service.cilium.io/type": "NodePort"}))).is_empty());
    let mut other = plain();
    other.metadata.labels.insert(PROXY_NAME.to_owned(), "mine".to_owned());
    assert!(vips(&other).is_empty());
    let mut proxied = plain();
    let ingress = json!([{"ip": "10.9.0.1", "ipMode": "Proxy"}, {"ip": "10.9.0.2", "ipMode": "VIP"}, {"hostname": "x"}]);
    proxied.status.load_balancer.ingress = serde_json::from_value(ingress).unwrap();
    assert_eq!(vips(&proxied), ["10.9.0.2"]);
    assert_eq!(reasons(&pods(&proxied, &[])), ["AddressOfProxy"]);
}

#[test]
fn clients_affinity_and_mode_are_taken_over() {
    let spec = json!({"sessionAffinity": "ClientIP", "loadBalancerSourceRanges": ["10.0.0.1/8", "10.0.0.0/8"]});
    let found = pods(&service(spec.clone(), json!({"portreeve.io/mode": "nat"})), &[]);
    let policy = &found.services[0].policy;
    let allowed: Vec<_> = policy.allow.iter().map(|net| net.value.to_string()).collect();
    assert_eq!((policy.affinity, allowed), (Affinity::Client, vec!["10.0.0.0/8".to_owned()]));
    assert_eq!(found.services[0].mode, Mode::Nat);
    let denied = json!({"service.cilium.io/src-ranges-policy": "deny"});
    let found = pods(&service(spec, denied), &[]);
    assert_eq!((found.services[0].policy.allow.len(), found.services[0].policy.deny.len()), (0, 1));
}

#[test]
fn a_range_that_cannot_be_read_lets_nobody_in() {
    for (ranges, policy) in [("10.0.0.0/33", "allow"), ("10.0.0.0/8", "maybe")] {
        let spec = json!({"loadBalancerSourceRanges": ["192.0.2.0/24", ranges]});
        let found =
            pods(&service(spec, json!({"service.cilium.io/src-ranges-policy": policy})), &[]);
        assert!(found.services.is_empty(), "{ranges} {policy}");
        assert_eq!(reasons(&found), ["SourceRangesInvalid"]);
    }
}

#[test]
fn what_is_not_built_is_said_and_the_rest_is_served() {
    let spec = json!({"externalTrafficPolicy": "Local", "ports": [{"port": 80}, {"port": 9, "protocol": "SCTP"}]});
    let annotations = json!({"service.cilium.io/lb-algorithm": "random", "service.cilium.io/forwarding-mode": "dsr"});
    let found = pods(&service(spec, annotations), &[]);
    let want = [
        "ModeNotSupported",
        "AlgorithmNotSupported",
        "ClientAddressNotKept",
        "ProtocolNotSupported",
    ];
    assert_eq!(reasons(&found), want);
    assert_eq!((found.services.len(), found.services[0].ports.len()), (1, 1));
    assert_eq!(found.services[0].mode, Mode::Snat);
}

#[test]
fn weights_stand_on_slices() {
    let mut weighted = slice(json!([{"port": 80}]), json!([endpoint("10.1.0.1", "ready serving")]));
    let mut set = |weight: &str| {
        weighted.metadata.annotations.insert("service.cilium.io/weight".into(), weight.into());
        let found = pods(&plain(), &[&weighted]);
        (backends(&found.services[0]).concat(), reasons(&found).concat())
    };
    assert_eq!(set("7"), ("10.1.0.1:80=7".to_owned(), String::new()));
    assert_eq!(set("0"), ("10.1.0.1:80=0".to_owned(), String::new()));
    assert_eq!(set("lots"), ("10.1.0.1:80=100".to_owned(), "WeightInvalid".to_owned()));
}

#[test]
fn node_ports_of_nodes_that_pass_packets_on_are_used() {
    let ready = slice(json!([{"port": 8080}]), json!([endpoint("10.1.0.1", "ready serving on-b")]));
    let by_node = facts(Path::NodePort);
    let found = translate(&plain(), &[&ready], &by_node);
    assert_eq!(backends(&found.services[0]), ["10.0.0.1:30080=100", "10.0.0.2:30080=100"]);
    let local = service(json!({"externalTrafficPolicy": "Local"}), json!({}));
    let found = translate(&local, &[&ready], &by_node);
    assert_eq!(backends(&found.services[0]), ["10.0.0.2:30080=100"]);
    // A node port without anybody behind it swallows what it gets.
    assert!(translate(&plain(), &[], &by_node).services[0].backends.is_empty());
    let none = service(json!({"ports": [{"port": 80}]}), json!({}));
    let found = translate(&none, &[&ready], &by_node);
    assert_eq!(reasons(&found), ["NoNodePort"]);
}

#[test]
fn what_did_not_change_is_the_same_by_pointer() {
    let ends = slice(json!([{"port": 80}]), json!([endpoint("10.1.0.1", "ready serving")]));
    let before = pods(&plain(), &[&ends]);
    let mut after = pods(&plain(), &[&ends]);
    assert!(!Arc::ptr_eq(&before.services[0], &after.services[0]));
    after.keep(&before);
    assert!(Arc::ptr_eq(&before.services[0], &after.services[0]));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("10.1.0.1".to_owned()),
        Just("10.1.0.2".to_owned()),
        Just("fd00::7".to_owned()),
        Just("192.192.192.192".to_owned()),
        Just("nonsense".to_owned()),
        Just(String::new()),
    ]
}

fn any_slice() -> impl Strategy<Value = EndpointSlice> {
    let state = || proptest::option::of(any::<bool>());
    let ends = (texts(), state(), state(), state()).prop_map(|(address, ready, serving, terminating)| {
        json!({"addresses": [address], "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
    });
    let port = (-2..3, proptest::sample::select(vec!["", "http"]))
        .prop_map(|(port, name)| json!({"port": port * 40_000, "name": name}));
    let parts = (proptest::collection::vec(ends, 0..5), proptest::collection::vec(port, 0..3));
    parts.prop_map(|(ends, ports)| slice(json!(ports), json!(ends)))
}

proptest! {
    /// Whatever is written, it is served as far as it can be: never a panic, and nothing that the
    /// validation refuses but a backend that is no host's.
    #[test]
    fn whatever_slices_say_the_service_is_sound(
        slices in proptest::collection::vec(any_slice(), 0..4),
        vips in proptest::collection::vec(texts(), 0..3),
    ) {
        let mut web = service(json!({"ports": [{"port": 80}, {"name": "http", "port": 81}]}), json!({}));
        let ingress: Vec<_> = vips.iter().map(|ip| json!({"ip": ip})).collect();
        web.status.load_balancer.ingress = serde_json::from_value(json!(ingress)).unwrap();
        let slices: Vec<_> = slices.iter().collect();
        let found = pods(&web, &slices);
        let port = PortSettings { name: Located::nowhere("ens5".into()), mode: XdpMode::Auto };
        let around = Desired { ports: vec![port], ..Desired::default() };
        for service in &found.services {
            let problems = validate_alone(service, &around);
            let bad: Vec<_> = problems.iter().filter(|problem| problem.is_error()).collect();
            prop_assert!(bad.iter().all(|problem| problem.what.contains("192.192.192")), "{bad:?}");
            let own: Vec<IpAddr> = service.vips.iter().map(|vip| vip.value).collect();
            prop_assert!(!own.is_empty() && !service.ports.is_empty());
        }
        // The order in which slices are known means nothing.
        let mut reversed = slices.clone();
        reversed.reverse();
        prop_assert_eq!(found.services, pods(&web, &reversed).services);
    }
}
