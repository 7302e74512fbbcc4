use portreeve::kubernetes::api::condition;
use portreeve::kubernetes::api::metadata::Key;
use portreeve::kubernetes::api::pool::{AVAILABLE, IpPool, TOTAL, USED};
use portreeve::kubernetes::api::service::{Service, ServiceStatus};
use portreeve::kubernetes::ipam::{Changes, Complaint, DefaultIpam, SATISFIED, Settings};
use serde_json::{Value, json};

use crate::cluster::Cluster;

const IPS: &str = "lbipam.cilium.io/ips";
const SHARING_KEY: &str = "lbipam.cilium.io/sharing-key";

fn cluster() -> Cluster {
    Cluster::new(Settings { ipv6: true, ..Settings::default() })
}

fn pool(name: &str, spec: &Value) -> IpPool {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

fn cidr(name: &str, cidr: &str) -> IpPool {
    pool(name, &json!({"blocks": [{"cidr": cidr}]}))
}

/// A service with a port of its own, so that sharing is a matter of keys alone.
fn service(name: &str) -> Service {
    let port = 1000 + name.bytes().map(u64::from).sum::<u64>();
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port}]},
    }))
    .unwrap()
}

fn with(name: &str, annotations: &[(&str, &str)]) -> Service {
    let mut service = service(name);
    let annotations = annotations.iter();
    service.metadata.annotations =
        annotations.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    service
}

fn key(name: &str) -> Key {
    Key { namespace: "default".to_owned(), name: name.to_owned() }
}

fn addresses(cluster: &Cluster, name: &str) -> Vec<String> {
    let ingress = &cluster.services[&key(name)].status.load_balancer.ingress;
    ingress.iter().map(|ingress| ingress.ip.clone()).collect()
}

fn reason(cluster: &Cluster, name: &str) -> Option<String> {
    let conditions = &cluster.services[&key(name)].status.conditions;
    condition::find(conditions, SATISFIED).map(|found| found.reason.clone())
}

fn counts(cluster: &Cluster, pool: &str) -> [String; 3] {
    let conditions = &cluster.pools[pool].status.conditions;
    [TOTAL, AVAILABLE, USED].map(|kind| condition::find(conditions, kind).unwrap().message.clone())
}

fn listing(ips: &[&str]) -> ServiceStatus {
    let ingress: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    serde_json::from_value(json!({"loadBalancer": {"ingress": ingress}})).unwrap()
}

fn restart(cluster: &mut Cluster) {
    cluster.stop();
    cluster.start();
}

#[test]
fn services_that_come_at_once_are_numbered_by_age_then_name() {
    let mut cluster = cluster();
    let spec = json!({"blocks": [{"cidr": "10.10.200.0/29"}], "allowFirstLastIPs": "No"});
    cluster.apply_pool(pool("cilium-lb-ippool", &spec));
    assert_eq!(counts(&cluster, "cilium-lb-ippool"), ["8", "6", "2"]);
    cluster.stop();
    for name in ["svc3", "svc1", "svc2"] {
        cluster.apply_service(service(name));
    }
    cluster.start();
    for (name, address) in
        [("svc1", "10.10.200.1"), ("svc2", "10.10.200.2"), ("svc3", "10.10.200.3")]
    {
        assert_eq!(addresses(&cluster, name), [address]);
    }
    assert_eq!(counts(&cluster, "cilium-lb-ippool"), ["8", "3", "5"]);
    restart(&mut cluster);
    assert_eq!(addresses(&cluster, "svc2"), ["10.10.200.2"]);
}

#[test]
fn a_pool_costs_nothing_by_its_size() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("four", "10.0.0.0/8"));
    cluster.apply_pool(cidr("six", "::/0"));
    cluster.apply_service(with("asks", &[(IPS, "10.77.0.1, fd00::77")]));
    let mut dual = service("dual");
    dual.spec.ip_family_policy = Some("RequireDualStack".to_owned());
    cluster.apply_service(dual);
    assert_eq!(addresses(&cluster, "asks"), ["10.77.0.1", "fd00::77"]);
    assert_eq!(addresses(&cluster, "dual"), ["10.0.0.0", "fd00::78"]);
    let six = "340282366920938463463374607431768211456";
    assert_eq!(counts(&cluster, "six")[0], six);
    assert_eq!(counts(&cluster, "four"), ["16777216", "16777214", "2"]);
}

#[test]
fn an_end_that_a_service_has_stays_its_own() {
    let mut cluster = cluster();
    let ends = |allowed| {
        pool("a", &json!({"blocks": [{"cidr": "10.0.0.0/30"}], "allowFirstLastIPs": allowed}))
    };
    cluster.apply_pool(ends("Yes"));
    cluster.apply_service(service("s0"));
    cluster.apply_pool(ends("No"));
    assert_eq!(counts(&cluster, "a"), ["4", "2", "2"]);
    restart(&mut cluster);
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
    assert_eq!(counts(&cluster, "a"), ["4", "2", "2"]);
    cluster.apply_pool(ends("Yes"));
    cluster.apply_service(service("s1"));
    assert_ne!(addresses(&cluster, "s1"), ["10.0.0.0"]);
}

#[test]
fn addresses_are_given_once_where_pools_come_to_overlap() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/30"));
    cluster.wait(1000);
    cluster.apply_pool(cidr("b", "10.0.1.0/30"));
    cluster.apply_service(with("s0", &[(IPS, "10.0.1.0")]));
    cluster.apply_pool(cidr("a", "10.0.1.0/29"));
    cluster.apply_service(service("s1"));
    assert_eq!(addresses(&cluster, "s0"), ["10.0.1.0"]);
    assert_eq!(addresses(&cluster, "s1"), ["10.0.1.1"]);
    assert_eq!(cluster.pools["b"].columns().conflicting, "True");
    // Nor does the marked pool give out anything of a block that it gets now.
    let spec = json!({"blocks": [{"cidr": "10.0.1.0/30"}, {"cidr": "10.0.9.0/30"}]});
    cluster.apply_pool(pool("b", &spec));
    cluster.apply_service(with("s2", &[(IPS, "10.0.9.1")]));
    assert_eq!(reason(&cluster, "s2").unwrap(), "no_pool");
    cluster.delete_service(&key("s0"));
    cluster.apply_service(with("s3", &[(IPS, "10.0.1.0")]));
    assert_eq!(addresses(&cluster, "s3"), ["10.0.1.0"]);
}

#[test]
fn a_restart_takes_nothing_from_services_of_a_pool_that_overlaps() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/30"));
    cluster.wait(1000);
    cluster.apply_pool(cidr("b", "10.0.1.0/29"));
    cluster.apply_service(with("s0", &[(IPS, "10.0.1.7")]));
    cluster.apply_service(service("s1"));
    cluster.apply_pool(cidr("a", "10.0.1.0/30"));
    assert_eq!(cluster.pools["b"].columns().conflicting, "True");
    restart(&mut cluster);
    assert_eq!(addresses(&cluster, "s0"), ["10.0.1.7"]);
    assert_eq!(addresses(&cluster, "s1"), ["10.0.1.0"]);
}

#[test]
fn a_restart_moves_nobody_from_one_shared_address_to_another() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/29"));
    let shares = |name: &str, port: i32| {
        let mut service = with(name, &[(SHARING_KEY, "k")]);
        service.spec.ports[0].port = port;
        service
    };
    cluster.apply_service(shares("s0", 80));
    cluster.apply_service(shares("s1", 80));
    cluster.apply_service(shares("s2", 443));
    cluster.apply_service(shares("s3", 443));
    assert_eq!(addresses(&cluster, "s3"), ["10.0.0.1"]);
    // With this port, the first address would do for s3, too.
    cluster.apply_service(shares("s3", 8443));
    restart(&mut cluster);
    assert_eq!(addresses(&cluster, "s3"), ["10.0.0.1"]);
    cluster.apply_service(shares("s4", 443));
    assert_eq!(addresses(&cluster, "s4"), ["10.0.0.1"]);
}

#[test]
fn an_address_that_was_freed_is_not_found_by_its_key() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/29"));
    cluster.apply_service(with("s0", &[(SHARING_KEY, "k"), (IPS, "10.0.0.5")]));
    cluster.apply_service(with("s0", &[(SHARING_KEY, "k"), (IPS, "10.0.0.6")]));
    cluster.apply_service(with("s1", &[(SHARING_KEY, "k")]));
    assert_eq!(addresses(&cluster, "s1"), ["10.0.0.6"]);
    cluster.apply_pool(cidr("a", "10.0.1.0/29"));
    cluster.apply_service(with("s2", &[(SHARING_KEY, "k")]));
    assert_eq!(addresses(&cluster, "s1"), addresses(&cluster, "s2"));
    assert!(addresses(&cluster, "s2")[0].starts_with("10.0.1."));
}

#[test]
fn a_selector_that_makes_no_sense_stops_its_own_pool_only() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/31"));
    cluster.apply_service(service("s0"));
    let selector = json!({"matchExpressions": [{"key": "color", "operator": "In", "values": []}]});
    let spec = json!({"blocks": [{"cidr": "10.0.0.0/31"}], "serviceSelector": selector});
    cluster.apply_pool(pool("a", &spec));
    cluster.apply_service(service("s1"));
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
    assert_eq!(reason(&cluster, "s1").unwrap(), "no_pool");
    cluster.apply_pool(cidr("b", "10.0.1.0/31"));
    assert_eq!(addresses(&cluster, "s1"), ["10.0.1.0"]);
    let complaints = cluster.ipam.as_ref().unwrap().complaints();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].what.contains("operator 'In' of label 'color' needs values"));
}

#[test]
fn nobody_gets_what_others_still_list_after_a_bad_change() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/30"));
    cluster.apply_service(service("s0"));
    let backwards = json!({"blocks": [{"start": "10.0.0.9", "stop": "10.0.0.5"}]});
    cluster.apply_pool(pool("a", &backwards));
    cluster.apply_pool(cidr("b", "10.0.0.0/30"));
    cluster.apply_service(service("s1"));
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
    assert_eq!(addresses(&cluster, "s1"), ["10.0.0.1"]);
    let [Complaint { kind, object, what, .. }] = &cluster.ipam.as_ref().unwrap().complaints()[..]
    else {
        panic!("one complaint");
    };
    assert_eq!((*kind, object.name.as_str()), ("CiliumLoadBalancerIPPool", "a"));
    assert!(what.ends_with("start 10.0.0.9 comes after stop 10.0.0.5"), "{what}");
}

#[test]
fn what_is_wrong_is_named_on_its_object() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("bad", "10.0.0.0/40"));
    cluster.apply_pool(cidr("good", "10.0.0.0/29"));
    cluster.apply_service(with("s0", &[(IPS, "10.0.0.4,ten")]));
    cluster.apply_service(with("s1", &[("io.cilium/lb-ipam-ips", "10.0.0.0/30")]));
    let complaints = cluster.ipam.as_ref().unwrap().complaints();
    let told: Vec<(String, &str)> = complaints
        .iter()
        .map(|complaint| (complaint.object.name.clone(), complaint.what.split(';').next().unwrap()))
        .collect();
    let refused = "the pool is not used: cidr '10.0.0.0/40' is no prefix: write an address, a slash \
                   and a length, as in 10.0.10.0/24";
    assert_eq!(told[0], ("bad".to_owned(), refused));
    assert_eq!(told[1], ("s0".to_owned(), "asks for 'ten', which is no address"));
    assert_eq!(told[2], ("s1".to_owned(), "asks for '10.0.0.0/30', which is no address"));
    cluster.apply_pool(cidr("bad", "10.0.9.0/30"));
    cluster.delete_service(&key("s0"));
    assert_eq!(cluster.ipam.as_ref().unwrap().complaints().len(), 1);
}

#[test]
fn a_service_that_is_not_ours_any_more_is_left_clean() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/31"));
    cluster.apply_service(service("s0"));
    let mut other = service("s0");
    other.spec.load_balancer_class = Some("example.com/other".to_owned());
    cluster.apply_service(other.clone());
    assert_eq!((addresses(&cluster, "s0"), reason(&cluster, "s0")), (vec![], None));
    // From now on, what is on it is somebody else's.
    cluster.write_status(&key("s0"), listing(&["10.0.0.0"]));
    cluster.apply_service(other);
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
    assert_eq!(counts(&cluster, "a"), ["2", "2", "0"]);
}

#[test]
fn without_pools_nothing_is_done() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/30"));
    cluster.apply_service(service("s0"));
    cluster.delete_pool("a");
    assert_eq!(
        (addresses(&cluster, "s0"), reason(&cluster, "s0").unwrap()),
        (vec![], "no_pool".to_owned())
    );
    cluster.write_status(&key("s0"), listing(&["10.0.0.2"]));
    cluster.apply_service(service("s1"));
    assert_eq!((addresses(&cluster, "s1"), reason(&cluster, "s1")), (vec![], None));
    cluster.apply_pool(cidr("b", "10.0.0.0/30"));
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.2"]);
    assert_eq!(addresses(&cluster, "s1"), ["10.0.0.3"]);
}

#[test]
fn old_news_of_a_service_takes_nothing_from_it() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/30"));
    cluster.apply_service(service("s0"));
    let mut before = cluster.services[&key("s0")].clone();
    before.status = ServiceStatus::default();
    cluster.tell(Changes { services: vec![before], ..Changes::default() });
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
    assert_eq!(reason(&cluster, "s0").unwrap(), "satisfied");
}

#[test]
fn a_new_list_of_everything_tells_what_is_gone() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/31"));
    cluster.apply_pool(cidr("b", "10.0.1.0/31"));
    cluster.apply_pool(cidr("bad", "nonsense"));
    for name in ["s0", "s1", "s2"] {
        cluster.apply_service(service(name));
    }
    let pools = vec![cluster.pools["b"].clone()];
    let services = ["s0", "s2"].map(|name| cluster.services[&key(name)].clone()).to_vec();
    let ipam = cluster.ipam.as_mut().unwrap();
    let writes = ipam.relist(pools, services);
    let given = &writes.services[&key("s0")].ingress;
    assert_eq!(given.iter().map(|ingress| ingress.ip.as_str()).collect::<Vec<_>>(), ["10.0.1.1"]);
    assert_eq!(writes.services.len(), 1, "{writes:?}");
    assert!(ipam.complaints().is_empty());
}

#[test]
fn a_pool_that_was_made_anew_gets_its_conditions() {
    let mut cluster = cluster();
    cluster.apply_pool(cidr("a", "10.0.0.0/31"));
    cluster.apply_service(service("s0"));
    let mut anew = cidr("a", "10.0.0.0/31");
    anew.metadata.uid = "another".to_owned();
    anew.metadata.generation = 1;
    cluster.pools.insert("a".to_owned(), anew.clone());
    cluster.tell(Changes { pools: vec![anew], ..Changes::default() });
    assert_eq!(counts(&cluster, "a"), ["2", "1", "1"]);
    assert_eq!(cluster.pools["a"].columns().conflicting, "False");
    assert_eq!(addresses(&cluster, "s0"), ["10.0.0.0"]);
}

#[test]
fn classes_are_ours_as_far_as_they_are_switched_on() {
    let classed = |class: Option<&str>| {
        let mut service = service("s0");
        service.spec.load_balancer_class = class.map(str::to_owned);
        service
    };
    let settings = Settings {
        l2_announcements: true,
        bgp_control_plane: false,
        default_ipam: DefaultIpam::Nodes,
        ..Settings::default()
    };
    for (class, ours) in [
        (None, false),
        (Some("io.cilium/l2-announcer"), true),
        (Some("io.cilium/bgp-control-plane"), false),
        (Some("io.cilium/node"), false),
    ] {
        assert_eq!(settings.are_responsible_for(&classed(class)), ours, "{class:?}");
    }
    assert_eq!("nodeipam".parse(), Ok(DefaultIpam::Nodes));
    assert!("LBIPAM".parse::<DefaultIpam>().is_err());
}
