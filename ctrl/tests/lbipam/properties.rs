use std::collections::BTreeMap;
use std::net::IpAddr;

use portreeve::kubernetes::api::condition;
use portreeve::kubernetes::api::metadata::Key;
use portreeve::kubernetes::api::pool::{AVAILABLE, Block, IpPool, TOTAL, USED};
use portreeve::kubernetes::api::service::{Ingress, Service};
use portreeve::kubernetes::ipam::{Changes, Complaint, Ipam, Settings, Writes};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Blocks that touch, overlap and repeat, of both families, and two larger than anything.
const BLOCKS: &[&str] = &[
    r#"{"cidr": "10.0.0.0/30"}"#,
    r#"{"start": "10.0.0.2", "stop": "10.0.0.6"}"#,
    r#"{"cidr": "10.0.0.4/30"}"#,
    r#"{"cidr": "10.0.1.0/31"}"#,
    r#"{"start": "10.0.0.1"}"#,
    r#"{"cidr": "fd00::/126"}"#,
    r#"{"cidr": "fd00::2/127"}"#,
    r#"{"cidr": "10.0.0.0/8"}"#,
    r#"{"cidr": "::/0"}"#,
];

const BAD_BLOCKS: &[&str] = &[
    r#"{"cidr": "10.0.0.0"}"#,
    r#"{"stop": "10.0.0.1"}"#,
    r#"{"start": "10.0.0.9", "stop": "10.0.0.5"}"#,
    r#"{"start": "10.0.0.9", "stop": "fd00::"}"#,
    "{}",
];

const SELECTORS: &[&str] = &[
    "null",
    "{}",
    r#"{"matchLabels": {"io.kubernetes.service.namespace": "a"}}"#,
    r#"{"matchExpressions": [
        {"key": "io.kubernetes.service.name", "operator": "NotIn", "values": ["s1"]}
    ]}"#,
    r#"{"matchExpressions": [{"key": "x", "operator": "In", "values": []}]}"#,
];

/// What services ask for and what somebody writes into their status.
const ADDRESSES: &[&str] =
    &["10.0.0.0", "10.0.0.2", "10.0.0.5", "10.0.1.1", "fd00::1", "10.9.9.9", "192.0.2.1", "x"];

#[derive(Debug, Clone)]
enum Action {
    ApplyPool(usize, Value),
    DeletePool(usize),
    ApplyService(Key, Value, BTreeMap<String, String>),
    DeleteService(Key),
    WriteStatus(Key, Vec<&'static str>),
    Restart,
    Wait,
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

fn some_addresses() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(one_of(ADDRESSES), 0..3)
}

fn pool_spec(blocks: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let blocks = prop::collection::vec(prop::sample::select(blocks), 0..3);
    let rest = (one_of(&["Yes", "No"]), one_of(SELECTORS), prop::bool::weighted(0.2));
    (blocks, rest).prop_map(|(blocks, (ends, selector, disabled))| {
        let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        json!({
            "blocks": blocks.into_iter().map(read).collect::<Vec<_>>(),
            "allowFirstLastIPs": ends, "serviceSelector": read(selector), "disabled": disabled,
        })
    })
}

fn key() -> impl Strategy<Value = Key> {
    (one_of(&["a", "b"]), 0..4).prop_map(|(namespace, name)| Key {
        namespace: namespace.to_owned(),
        name: format!("s{name}"),
    })
}

fn service_spec() -> impl Strategy<Value = Value> {
    let families = one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"]);
    let kind =
        prop::sample::select(vec!["LoadBalancer", "LoadBalancer", "LoadBalancer", "NodePort"]);
    (families, kind, 80..83, one_of(&["Cluster", "Local"])).prop_map(
        |(families, kind, port, policy)| {
            json!({
                "ipFamilyPolicy": families, "type": kind, "externalTrafficPolicy": policy,
                "ports": [{"port": port}], "selector": {"app": "x"},
            })
        },
    )
}

fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    let asks = prop::option::weighted(0.3, some_addresses());
    (asks, prop::option::of(one_of(&["k", "l"])), any::<bool>()).prop_map(|(asks, key, shares)| {
        let asks = asks.map(|asks| ("lbipam.cilium.io/ips", asks.join(",")));
        let key = key.map(|key| ("io.cilium/lb-ipam-sharing-key", key.to_owned()));
        let shares = shares.then(|| ("lbipam.cilium.io/sharing-cross-namespace", "*".to_owned()));
        let set = [asks, key, shares].into_iter().flatten();
        set.map(|(key, value)| (key.to_owned(), value)).collect()
    })
}

fn actions(blocks: &[&[&'static str]]) -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        3 => (0_usize..3, pool_spec(blocks.concat()))
            .prop_map(|(name, spec)| Action::ApplyPool(name, spec)),
        1 => (0_usize..3).prop_map(Action::DeletePool),
        6 => (key(), service_spec(), annotations())
            .prop_map(|(key, spec, annotations)| Action::ApplyService(key, spec, annotations)),
        2 => key().prop_map(Action::DeleteService),
        1 => (key(), some_addresses()).prop_map(|(key, listed)| Action::WriteStatus(key, listed)),
        1 => Just(Action::Restart),
        1 => Just(Action::Wait),
    ];
    prop::collection::vec(action, 1..40)
}

fn play(cluster: &mut Cluster, action: &Action) {
    match action {
        Action::ApplyPool(name, spec) => {
            let pool = json!({"metadata": {"name": format!("p{name}")}, "spec": spec});
            cluster.apply_pool(serde_json::from_value(pool).unwrap());
        }
        Action::DeletePool(name) => cluster.delete_pool(&format!("p{name}")),
        Action::ApplyService(key, spec, annotations) => {
            let metadata =
                json!({"namespace": key.namespace, "name": key.name, "annotations": annotations});
            let service = json!({"metadata": metadata, "spec": spec});
            cluster.apply_service(serde_json::from_value(service).unwrap());
        }
        Action::DeleteService(key) => cluster.delete_service(key),
        Action::WriteStatus(key, listed) if cluster.services.contains_key(key) => {
            let ingress: Vec<Value> = listed.iter().map(|ip| json!({"ip": ip})).collect();
            let status = json!({"loadBalancer": {"ingress": ingress}});
            cluster.write_status(key, serde_json::from_value(status).unwrap());
        }
        Action::WriteStatus(..) => {}
        Action::Restart => {
            cluster.stop();
            cluster.start();
        }
        Action::Wait => cluster.wait(1000),
    }
}

fn cluster() -> Cluster {
    Cluster::new(Settings { ipv6: true, ..Settings::default() })
}

/// Without a pool that can be used, nothing is done.
fn is_awake(cluster: &Cluster) -> bool {
    let bad = |block: &Block| {
        let block = serde_json::to_value(block).unwrap();
        BAD_BLOCKS.iter().any(|bad| serde_json::from_str::<Value>(bad).unwrap() == block)
    };
    cluster.pools.values().any(|pool| !pool.spec.blocks.iter().any(bad))
}

fn ours(cluster: &Cluster) -> impl Iterator<Item = &Service> {
    cluster.services.values().filter(|service| service.spec.kind == "LoadBalancer")
}

fn listed(service: &Service) -> Vec<IpAddr> {
    let ingress: &[Ingress] = &service.status.load_balancer.ingress;
    ingress.iter().map(|ingress| ingress.ip.parse().unwrap()).collect()
}

fn sharing_key(service: &Service) -> Option<&String> {
    service.metadata.annotations.get("io.cilium/lb-ipam-sharing-key")
}

/// Who has one address has one key, and no port in common with the others.
fn nobody_shares_unasked(cluster: &Cluster) -> Result<(), TestCaseError> {
    let mut tenants: BTreeMap<IpAddr, Vec<&Service>> = BTreeMap::new();
    for service in ours(cluster) {
        for address in listed(service) {
            tenants.entry(address).or_default().push(service);
        }
    }
    for (address, tenants) in tenants {
        for (at, one) in tenants.iter().enumerate() {
            for other in &tenants[at + 1..] {
                let may = sharing_key(one).is_some()
                    && sharing_key(one) == sharing_key(other)
                    && one.spec.ports != other.spec.ports;
                prop_assert!(may, "{} of {:?} and {:?}", address, one.metadata, other.metadata);
            }
        }
    }
    Ok(())
}

fn contains(pool: &IpPool, address: IpAddr) -> bool {
    pool.spec.blocks.iter().any(|block| match (&block.cidr, &block.start) {
        (Some(cidr), _) => {
            cidr.parse::<ipnet::IpNet>().is_ok_and(|net| net.trunc().contains(&address))
        }
        (None, Some(start)) => {
            let stop = block.stop.as_ref().unwrap_or(start);
            let [start, stop]: [IpAddr; 2] = [start, stop].map(|end| end.parse().unwrap());
            start <= address && address <= stop
        }
        (None, None) => false,
    })
}

fn count(pool: &IpPool, kind: &str) -> Option<String> {
    condition::find(&pool.status.conditions, kind).map(|found| found.message.clone())
}

fn counts_add_up(cluster: &Cluster) -> Result<(), TestCaseError> {
    for pool in cluster.pools.values() {
        let [total, available, used] = [TOTAL, AVAILABLE, USED]
            .map(|kind| count(pool, kind).and_then(|count| count.parse::<u128>().ok()));
        if let (Some(total), Some(available), Some(used)) = (total, available, used) {
            prop_assert_eq!(total, available + used, "{:?}", pool);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done, nonsense included.
    #[test]
    fn an_address_is_one_service_s_or_shared_on_purpose(actions in actions(&[BLOCKS, BAD_BLOCKS])) {
        let mut cluster = cluster();
        for action in &actions {
            play(&mut cluster, action);
            if is_awake(&cluster) {
                nobody_shares_unasked(&cluster)?;
            }
            counts_add_up(&cluster)?;
        }
    }

    #[test]
    fn addresses_are_of_pools(actions in actions(&[BLOCKS])) {
        let mut cluster = cluster();
        for action in &actions {
            play(&mut cluster, action);
            for address in ours(&cluster).filter(|_| is_awake(&cluster)).flat_map(listed) {
                let known = cluster.pools.values().any(|pool| contains(pool, address));
                prop_assert!(known, "{} is of no pool", address);
            }
        }
    }

    /// Those that wait may get something; those that have something keep it. What a look at a
    /// service takes from it, because others left an address that was shared, is taken before.
    #[test]
    fn a_restart_renumbers_nothing(actions in actions(&[BLOCKS])) {
        let mut cluster = cluster();
        actions.iter().for_each(|action| play(&mut cluster, action));
        let services = cluster.services.values().cloned().collect();
        cluster.tell(Changes { services, ..Changes::default() });
        let awake = ours(&cluster).filter(|_| is_awake(&cluster));
        let before: BTreeMap<Key, Vec<IpAddr>> =
            awake.map(|service| (service.metadata.key(), listed(service))).collect();
        play(&mut cluster, &Action::Restart);
        for (key, before) in before {
            let after = listed(&cluster.services[&key]);
            prop_assert!(after.starts_with(&before), "{}: {:?} became {:?}", key, before, after);
        }
    }

    #[test]
    fn what_services_had_is_free_when_they_are_gone(actions in actions(&[BLOCKS])) {
        let mut cluster = cluster();
        for action in &actions {
            // Ends that are kept back count as used: here, none are.
            let mut action = action.clone();
            if let Action::ApplyPool(_, spec) = &mut action {
                spec["allowFirstLastIPs"] = json!("Yes");
            }
            play(&mut cluster, &action);
        }
        for key in cluster.services.keys().cloned().collect::<Vec<_>>() {
            cluster.delete_service(&key);
        }
        for pool in cluster.pools.values() {
            prop_assert_eq!(count(pool, USED), Some("0".to_owned()));
            prop_assert_eq!(count(pool, TOTAL), count(pool, AVAILABLE));
        }
    }

    /// At a start and at a change of many objects at once.
    #[test]
    fn the_order_of_the_input_does_not_matter(
        actions in actions(&[BLOCKS, BAD_BLOCKS]), news in actions(&[BLOCKS, BAD_BLOCKS]),
    ) {
        let mut cluster = cluster();
        actions.iter().for_each(|action| play(&mut cluster, action));
        let before = (cluster.pools.clone(), cluster.services.clone());
        // Nothing is written meanwhile: this is only where changed objects come from.
        cluster.stop();
        let news = news.iter().filter(|action| !matches!(action, Action::Restart));
        news.for_each(|action| play(&mut cluster, action));
        let after = (cluster.pools, cluster.services);
        prop_assert_eq!(in_one_go(&before, &after, false), in_one_go(&before, &after, true));
    }
}

type Objects = (BTreeMap<String, IpPool>, BTreeMap<Key, Service>);

/// What is written and complained of at a start with the one and a change to the other.
fn in_one_go(before: &Objects, after: &Objects, backwards: bool) -> [(Writes, Vec<Complaint>); 2] {
    let settings = Settings { ipv6: true, ..Settings::default() };
    let (mut ipam, first) = Ipam::start(
        settings,
        list(before.0.values(), backwards),
        list(before.1.values(), backwards),
    );
    let first = (first, ipam.complaints());
    let gone_pools = before.0.keys().filter(|name| !after.0.contains_key(*name));
    let gone_services = before.1.keys().filter(|key| !after.1.contains_key(*key));
    let second = ipam.change(Changes {
        pools: list(after.0.values(), backwards),
        services: list(after.1.values(), backwards),
        gone_pools: list(gone_pools, backwards),
        gone_services: list(gone_services, backwards),
    });
    [first, (second, ipam.complaints())]
}

fn list<'a, T: Clone + 'a>(objects: impl Iterator<Item = &'a T>, backwards: bool) -> Vec<T> {
    let mut list: Vec<T> = objects.cloned().collect();
    if backwards {
        list.reverse();
    }
    list
}
