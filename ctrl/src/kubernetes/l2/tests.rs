use serde_json::{Value, json};

use super::*;
use crate::kubernetes::api::condition::Truth;
use crate::kubernetes::api::l2_policy::{
    BAD_INTERFACE_REGEX, BAD_NODE_SELECTOR, BAD_SERVICE_SELECTOR,
};

const PORTS: [&str; 2] = ["ens5", "ens6"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A service with an address from a pool.
fn service(name: &str, address: &str) -> Service {
    Service {
        key: Key { namespace: "default".to_owned(), name: name.to_owned() },
        created: Timestamp("2026-11-30T21:00:00Z".to_owned()),
        load_balancer_ips: vec![ip(address)],
        ..Service::default()
    }
}

fn policy(name: &str, spec: Value) -> L2Policy {
    let object = json!({"metadata": {"name": name, "generation": 3}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn everything() -> L2Policy {
    policy("all", json!({"loadBalancerIPs": true, "externalIPs": true}))
}

/// The policy of the lab document.
fn lab() -> L2Policy {
    let node = json!({"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"});
    let spec = json!({"serviceSelector": {"matchLabels": {"color": "blue"}},
        "nodeSelector": {"matchExpressions": [node]},
        "interfaces": ["^ens[0-9]+"], "externalIPs": true, "loadBalancerIPs": true});
    policy("policy1", spec)
}

fn found(services: &[Service], policies: &[L2Policy]) -> Announcements {
    announcements(&World { services, policies, node: &Labels::new(), ports: &PORTS })
}

/// Where the one service is announced, or why it is not.
fn verdict(service: Service, policies: &[L2Policy]) -> Result<Places, String> {
    let found = found(&[service], policies);
    found.services.into_values().next().unwrap().map_err(|why| why.to_string())
}

fn places(addresses: &[&str], ports: &[&str]) -> Places {
    let ports: BTreeSet<String> = ports.iter().map(|port| (*port).to_owned()).collect();
    addresses.iter().map(|address| (ip(address), ports.clone())).collect()
}

#[test]
fn the_labs_policy_misses_a_service_without_the_label_and_says_which() {
    let svc1 = || service("svc1", "10.10.200.1");
    assert_eq!(
        verdict(svc1(), &[lab()]).unwrap_err(),
        "policy 'policy1' does not select the service: label 'color' is missing, 'blue' is wanted"
    );
    let blue = Service { labels: labels(&[("color", "blue")]), ..svc1() };
    assert_eq!(verdict(blue.clone(), &[lab()]), Ok(places(&["10.10.200.1"], &PORTS)));
    let both = found(&[blue, service("svc2", "10.10.200.2")], &[lab()]);
    assert_eq!(both.groups.keys().collect::<Vec<_>>(), ["cilium-l2announce-default-svc1"]);
}

#[test]
fn a_policy_without_selectors_and_interfaces_means_all() {
    let service = || service("svc1", "10.10.200.1");
    let all = Ok(places(&["10.10.200.1"], &PORTS));
    assert_eq!(verdict(service(), &[everything()]), all);
    let empty = json!({"loadBalancerIPs": true, "serviceSelector": {}, "nodeSelector": {},
        "interfaces": []});
    assert_eq!(verdict(service(), &[policy("empty", empty)]), all);
}

#[test]
fn services_have_labels_that_tell_where_they_are() {
    let by = |key: &str, value: &str| {
        policy(
            "p",
            json!({"loadBalancerIPs": true, "serviceSelector": {"matchLabels": {key: value}}}),
        )
    };
    let service = || service("svc1", "10.10.200.1");
    for (key, right) in [(NAMESPACE_LABEL, "default"), (NAME_LABEL, "svc1")] {
        assert!(verdict(service(), &[by(key, right)]).is_ok(), "{key}");
        let told = verdict(service(), &[by(key, "other")]).unwrap_err();
        assert!(told.contains(&format!("label '{key}' is '{right}', 'other' is wanted")), "{told}");
    }
}

#[test]
fn interfaces_are_looked_for_anywhere_in_a_name_and_any_of_them_counts() {
    let on = |interfaces: &[&str]| {
        let spec = json!({"loadBalancerIPs": true, "interfaces": interfaces});
        verdict(service("svc1", "10.10.200.1"), &[policy("p", spec)])
    };
    let at = |ports: &[&str]| Ok(places(&["10.10.200.1"], ports));
    assert_eq!(on(&["ns5"]), at(&["ens5"]));
    assert_eq!(
        on(&["^ns5"]),
        Err("policy 'p' names no port of this gateway: interfaces '^ns5'".into())
    );
    assert_eq!(on(&["eth", "6$"]), at(&["ens6"]));
    assert_eq!(on(&["ens5", "^e"]), at(&PORTS));
}

#[test]
fn kinds_of_addresses_are_enabled_one_by_one() {
    let with = |spec| {
        let mut service = service("svc1", "10.10.200.1");
        service.external_ips = vec![ip("192.0.2.9")];
        verdict(service, &[policy("p", spec)])
    };
    assert_eq!(with(json!({"loadBalancerIPs": true})), Ok(places(&["10.10.200.1"], &PORTS)));
    assert_eq!(with(json!({"externalIPs": true})), Ok(places(&["192.0.2.9"], &PORTS)));
    let neither = "policy 'p' enables neither loadBalancerIPs nor externalIPs";
    assert_eq!(with(json!({})), Err(neither.to_owned()));
    let told = verdict(service("s", "10.10.200.1"), &[policy("p", json!({"externalIPs": true}))]);
    assert_eq!(
        told.unwrap_err(),
        "policy 'p' enables externalIPs only, and the service has none of them"
    );
}

#[test]
fn policies_add_up() {
    let one = policy("one", json!({"loadBalancerIPs": true, "interfaces": ["5"]}));
    let two =
        policy("two", json!({"loadBalancerIPs": true, "externalIPs": true, "interfaces": ["6"]}));
    let mut service = service("svc1", "10.10.200.1");
    service.external_ips = vec![ip("192.0.2.9")];
    let mut want = places(&["10.10.200.1"], &PORTS);
    want.extend(places(&["192.0.2.9"], &["ens6"]));
    assert_eq!(verdict(service, &[one, two]), Ok(want));
}

#[test]
fn who_is_no_candidate_is_told_why() {
    let svc = || service("svc1", "10.10.200.1");
    let class = |class: &str| Service { class: Some(class.to_owned()), ..svc() };
    let told = |service: Service| verdict(service, &[everything()]).unwrap_err();
    assert_eq!(
        told(class("io.cilium/bgp-control-plane")),
        "its loadBalancerClass is 'io.cilium/bgp-control-plane', not 'io.cilium/l2-announcer'"
    );
    assert!(verdict(class(CLASS), &[everything()]).is_ok());
    assert_eq!(told(Service { load_balancer_ips: Vec::new(), ..svc() }), "it has no address");
    let none = verdict(svc(), &[]).unwrap_err();
    assert_eq!(none, "there is no CiliumL2AnnouncementPolicy");
}

#[test]
fn the_policy_that_comes_closest_is_named() {
    let node =
        json!({"loadBalancerIPs": true, "nodeSelector": {"matchLabels": {"role": "gateway"}}});
    let policies = [lab(), policy("gateways", node), policy("off", json!({}))];
    assert_eq!(
        verdict(service("svc1", "10.10.200.1"), &policies).unwrap_err(),
        "policy 'gateways' does not select this node: label 'role' is missing, 'gateway' is wanted \
         (and 2 other policies do not have it announced, either)"
    );
}

/// A bad policy, with the type of the condition that it gets.
fn bad() -> [(L2Policy, &'static str); 3] {
    let nonsense = json!({"matchExpressions": [{"key": "x", "operator": "Like", "values": ["y"]}]});
    let spec = |key: &str, value: &Value| json!({"loadBalancerIPs": true, key: value});
    [
        (policy("node", spec("nodeSelector", &nonsense)), BAD_NODE_SELECTOR),
        (policy("service", spec("serviceSelector", &nonsense)), BAD_SERVICE_SELECTOR),
        (policy("regex", spec("interfaces", &json!(["ens5", "ens["]))), BAD_INTERFACE_REGEX),
    ]
}

#[test]
fn a_bad_policy_selects_nothing_changes_nothing_else_and_is_told_once() {
    for (mut policy, kind) in bad() {
        let svc = || service("svc1", "10.10.200.1");
        let told = verdict(svc(), std::slice::from_ref(&policy)).unwrap_err();
        assert!(told.contains("makes no sense"), "{told}");
        let with_good = found(&[svc()], &[policy.clone(), everything()]);
        assert_eq!(with_good.services, found(&[svc()], &[everything()]).services);
        assert_eq!(with_good.groups, found(&[svc()], &[everything()]).groups);
        let name = policy.metadata.name.clone();
        assert_eq!(with_good.conditions.keys().collect::<Vec<_>>(), [&name]);
        let [said] = &with_good.conditions[&name][..] else { panic!("{with_good:?}") };
        assert_eq!(
            (said.kind.as_str(), said.status, said.reason.as_str()),
            (kind, Truth::True, "error")
        );
        assert_eq!(said.observed_generation, 3);
        assert!(!said.message.is_empty());
        policy.status.conditions = vec![said.clone()];
        assert!(found(&[], std::slice::from_ref(&policy)).conditions.is_empty(), "it is told");
        // Another gateway, or an agent of Cilium, has other words for it.
        policy.status.conditions[0].message = "other words".to_owned();
        assert!(found(&[], std::slice::from_ref(&policy)).conditions.is_empty(), "it is told");
        // Mended: what was said is taken back.
        policy.metadata.generation = 4;
        policy.spec = everything().spec;
        let mended = &found(&[], std::slice::from_ref(&policy)).conditions[&name][0];
        assert_eq!((mended.status, mended.message.as_str()), (Truth::False, ""));
        assert_eq!((mended.observed_generation, mended.reason.as_str()), (4, "error"));
        assert!(verdict(svc(), &[policy]).is_ok());
    }
}

#[test]
fn conditions_of_others_stay_and_a_node_that_is_not_selected_says_nothing_of_the_rest() {
    let (mut regex, _) = bad()[2].clone();
    let other = json!({"type": "example.org/x", "status": "True", "reason": "r", "message": "m"});
    regex.status.conditions = vec![serde_json::from_value(other).unwrap()];
    let said = found(&[], std::slice::from_ref(&regex)).conditions;
    assert_eq!(said["regex"].len(), 2);
    regex.spec.node_selector = serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap();
    assert!(found(&[], &[regex]).conditions.is_empty());
}

#[test]
fn services_that_share_an_address_directly_or_by_others_are_one_group() {
    let mut services = [
        service("a", "10.10.200.1"),
        service("b", "10.10.200.2"),
        service("c", "10.10.200.3"),
        service("d", "10.10.200.4"),
    ];
    // b and c meet in d, which is the youngest.
    services[3].external_ips = vec![ip("10.10.200.2"), ip("10.10.200.3")];
    services[2].created = Timestamp("2026-11-30T20:00:00Z".to_owned());
    services[3].created = Timestamp("2026-11-30T22:00:00Z".to_owned());
    let found = found(&services, &[everything()]);
    let names = |lease: &str| -> Vec<_> {
        found.groups[lease].services.iter().map(|key| key.name.clone()).collect()
    };
    assert_eq!(found.groups.len(), 2);
    assert_eq!(names("cilium-l2announce-default-a"), ["a"]);
    assert_eq!(names("cilium-l2announce-default-c"), ["c", "b", "d"], "the oldest, then by name");
    assert_eq!(
        found.groups["cilium-l2announce-default-c"].places,
        places(&["10.10.200.2", "10.10.200.3", "10.10.200.4"], &PORTS)
    );
}

#[test]
fn groups_are_the_same_for_every_gateway_whatever_its_node_is() {
    let on = |name: &str, role: &str, color: &str| {
        let spec = json!({"loadBalancerIPs": true,
            "nodeSelector": {"matchLabels": {"role": role}},
            "serviceSelector": {"matchLabels": {"color": color}}});
        policy(name, spec)
    };
    let policies = [on("one", "a", "blue"), on("two", "b", "red")];
    let mut services = [service("blue", "10.10.200.1"), service("red", "10.10.200.1")];
    services[0].labels = labels(&[("color", "blue")]);
    services[1].labels = labels(&[("color", "red")]);
    services[1].created = Timestamp("2026-11-30T20:00:00Z".to_owned());
    for role in ["a", "b", "neither"] {
        let node = labels(&[("role", role)]);
        let world = World { services: &services, policies: &policies, node: &node, ports: &PORTS };
        let found = announcements(&world);
        assert_eq!(found.groups.keys().collect::<Vec<_>>(), ["cilium-l2announce-default-red"]);
        let group = &found.groups["cilium-l2announce-default-red"];
        assert_eq!(group.may_lead(), role != "neither", "{role}");
        assert_eq!(group.services.len(), 2);
    }
}

#[test]
fn with_local_traffic_only_who_reaches_an_endpoint_leads() {
    let local = |path| {
        let service = Service { local_path: path, ..service("svc1", "10.10.200.1") };
        found(&[service], &[everything()]).groups.into_values().next().unwrap()
    };
    assert!(local(None).may_lead() && local(Some(true)).may_lead());
    let without = local(Some(false));
    assert!(!without.may_lead());
    assert_eq!(without.out_of_reach[0].to_string(), "default/svc1");
}

#[test]
fn what_nobody_may_announce_is_in_no_group() {
    let other_class = Service { class: Some("x".to_owned()), ..service("a", "10.10.200.1") };
    let unselected = service("b", "10.10.200.1");
    let mut selected = service("c", "10.10.200.1");
    selected.labels = labels(&[("color", "blue")]);
    let found = found(&[other_class, unselected, selected], &[lab()]);
    assert_eq!(found.groups.keys().collect::<Vec<_>>(), ["cilium-l2announce-default-c"]);
    assert_eq!(found.groups["cilium-l2announce-default-c"].services.len(), 1);
}

#[test]
fn two_services_whose_leases_have_one_name_have_one_lease() {
    let mut services = [service("b-c", "10.10.200.1"), service("c", "10.10.200.2")];
    services[0].key.namespace = "a".to_owned();
    services[1].key.namespace = "a-b".to_owned();
    let found = found(&services, &[everything()]);
    assert_eq!(found.groups["cilium-l2announce-a-b-c"].services.len(), 2);
}

#[test]
fn names_of_leases_are_names_of_objects() {
    let lease = |text| router_lease(ip(text));
    assert_eq!(lease("10.10.200.9"), "portreeve-router-10.10.200.9");
    assert_eq!(lease("fd00::9"), "portreeve-router-fd00--9");
    assert_eq!(lease("fd00::"), "portreeve-router-fd00--0");
}
