use dataplane::addr::Addr;
use dataplane::time::BootTime;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::desired::Announce;
use crate::desired::kubernetes::Reach;
use crate::kubernetes::snapshot::ClusterService;
use crate::kubernetes::store::News;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn service(name: &str, age: &str) -> DynamicObject {
    object(json!({
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": age},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.9.0.1"}]}},
    }))
}

fn slice(name: &str, of: &str, address: &str) -> DynamicObject {
    object(json!({
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": [address]}],
    }))
}

fn node(name: &str, seen: &str) -> DynamicObject {
    object(json!({
        "metadata": {"name": name, "annotations": {"seen": seen}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

fn view(reach: Reach) -> View {
    View::new(KubernetesSettings { reach, ..KubernetesSettings::default() }, "gateway".into())
}

fn list(view: &mut View, which: Watched, objects: Vec<DynamicObject>) {
    view.take(which, Told::News(News::All(objects, None)));
    view.take(which, Told::Standing(Standing::Watched));
}

fn change(view: &mut View, which: Watched, object: DynamicObject) -> Option<Snapshot> {
    view.take(which, Told::News(News::Changed(Box::new(object))));
    view.snapshot()
}

/// Two services with a pod each; all that is awaited has been listed.
fn whole(reach: Reach) -> (View, Snapshot) {
    let mut view = view(reach);
    let services =
        vec![service("new", "2026-01-02T00:00:00Z"), service("old", "2026-01-01T00:00:00Z")];
    list(&mut view, Watched::Services, services);
    let slices = vec![slice("s1", "new", "10.1.0.1"), slice("s2", "old", "10.1.0.2")];
    list(&mut view, Watched::EndpointSlices, slices);
    list(&mut view, Watched::Nodes, vec![node("a", "")]);
    list(&mut view, Watched::CiliumConfig, Vec::new());
    let snapshot = view.snapshot().unwrap();
    (view, snapshot)
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    let services = snapshot.services.iter();
    let one = |wish: &Arc<ClusterService>| {
        let backends: Vec<_> =
            wish.service.backends.iter().map(|b| b.address.value.to_string()).collect();
        format!("{} {}", wish.service.name.value, backends.join(" "))
    };
    services.map(one).collect()
}

#[test]
fn nothing_is_served_before_all_that_it_is_made_of_is_known() {
    let mut view = view(Reach::Pods);
    list(&mut view, Watched::Services, vec![service("web", "2026-01-01T00:00:00Z")]);
    list(&mut view, Watched::Nodes, Vec::new());
    assert!(view.snapshot().unwrap().services.is_empty());
    // Who may not read the settings of Cilium goes on without; endpoints there is no going without.
    let forbidden = || Told::Standing(Standing::Forbidden("a rule".into()));
    view.take(Watched::CiliumConfig, forbidden());
    view.take(Watched::EndpointSlices, forbidden());
    assert!(view.snapshot().unwrap().services.is_empty());
    list(&mut view, Watched::EndpointSlices, vec![slice("s", "web", "10.1.0.1")]);
    assert_eq!(shown(&view.snapshot().unwrap()), ["default/web 10.1.0.1"]);
}

#[test]
fn services_stand_by_age_and_one_change_touches_one() {
    let (mut view, first) = whole(Reach::Pods);
    assert_eq!(shown(&first), ["default/old 10.1.0.2", "default/new 10.1.0.1"]);
    assert!(view.snapshot().is_none(), "nothing happened");
    let next = change(&mut view, Watched::EndpointSlices, slice("s1", "new", "10.1.0.9")).unwrap();
    assert_eq!(shown(&next), ["default/old 10.1.0.2", "default/new 10.1.0.9"]);
    assert!(Arc::ptr_eq(&first.services[0].service, &next.services[0].service));
    assert!(!Arc::ptr_eq(&first.services[1].service, &next.services[1].service));
}

#[test]
fn a_slice_that_goes_to_another_service_or_is_gone_leaves_its_first() {
    let (mut view, _) = whole(Reach::Pods);
    let next = change(&mut view, Watched::EndpointSlices, slice("s1", "old", "10.1.0.1")).unwrap();
    assert_eq!(shown(&next), ["default/old 10.1.0.1 10.1.0.2", "default/new "]);
    let key = Key { namespace: "default".into(), name: "s2".into() };
    view.take(Watched::EndpointSlices, Told::News(News::Gone(key, None)));
    assert_eq!(shown(&view.snapshot().unwrap()), ["default/old 10.1.0.1", "default/new "]);
}

#[test]
fn what_means_nothing_to_us_is_no_news() {
    let (mut view, _) = whole(Reach::NodePort);
    assert!(change(&mut view, Watched::Nodes, node("a", "a minute later")).is_none());
    assert!(
        change(&mut view, Watched::Leases, object(json!({"metadata": {"name": "x"}}))).is_none()
    );
    let list_again = vec![slice("s1", "new", "10.1.0.1"), slice("s2", "old", "10.1.0.2")];
    list(&mut view, Watched::EndpointSlices, list_again);
    // The standing was told again, and nothing else is different.
    let again = view.snapshot().unwrap();
    assert_eq!(shown(&again), ["default/old 10.0.0.1", "default/new 10.0.0.1"]);
}

#[test]
fn nodes_and_settings_touch_all() {
    let (mut view, _) = whole(Reach::Auto);
    let config = |mode: &str| {
        object(json!({"metadata": {"name": "cilium-config", "namespace": "kube-system"},
            "data": {"routing-mode": mode, "bpf-lb-maglev-table-size": "4093", "bpf-lb-maglev-hash-seed": "x"}}))
    };
    let tunnel = change(&mut view, Watched::CiliumConfig, config("tunnel")).unwrap();
    assert_eq!(shown(&tunnel), ["default/old 10.0.0.1", "default/new 10.0.0.1"]);
    assert_eq!((tunnel.maglev.table_size, tunnel.maglev.seeds), (Some(4_093), None));
    assert_eq!(tunnel.complaints[0].reason, "MaglevSettingInvalid");
    let native = change(&mut view, Watched::CiliumConfig, config("native")).unwrap();
    assert_eq!(shown(&native), ["default/old 10.1.0.2", "default/new 10.1.0.1"]);
}

#[test]
fn a_duration_that_is_none_is_said_once_on_the_settings() {
    let (mut view, _) = whole(Reach::Pods);
    let config = |duration: &str| {
        object(json!({"metadata": {"name": "cilium-config", "namespace": "kube-system"},
            "data": {"l2-announcements-lease-duration": duration}}))
    };
    let snapshot = change(&mut view, Watched::CiliumConfig, config("soon")).unwrap();
    let [complaint] = &snapshot.complaints[..] else { panic!("{:?}", snapshot.complaints) };
    assert_eq!((complaint.kind, complaint.reason), ("ConfigMap", "LeaseSettingInvalid"));
    assert_eq!(view.timing(), Some(Timing::default()));
    assert!(view.snapshot().is_none(), "it is known");
    let snapshot = change(&mut view, Watched::CiliumConfig, config("3s")).unwrap();
    assert!(snapshot.complaints.is_empty());
    assert_eq!(view.timing().unwrap().duration.as_secs(), 3);
}

#[test]
fn the_api_server_may_be_away_without_any_change() {
    let (mut view, first) = whole(Reach::Pods);
    view.take(Watched::Services, Told::Standing(Standing::Failed("refused".into())));
    let away = view.snapshot().unwrap();
    assert!(!away.answers() && first.answers());
    assert!(Arc::ptr_eq(&first.services, &away.services));
}

#[test]
fn a_broken_object_is_named_while_it_is_broken() {
    let (mut view, first) = whole(Reach::Pods);
    let mut broken = slice("s1", "new", "10.1.0.1");
    broken.data["endpoints"] = json!("nobody");
    let next = change(&mut view, Watched::EndpointSlices, broken).unwrap();
    assert_eq!((next.complaints.len(), next.complaints[0].reason), (1, "Unreadable"));
    assert_eq!(shown(&next), shown(&first));
    let healed = change(&mut view, Watched::EndpointSlices, slice("s1", "new", "10.1.0.1"));
    assert!(healed.unwrap().complaints.is_empty());
}

#[test]
fn a_policy_says_on_which_ports_a_service_is_announced_and_without_a_lease_never() {
    let (mut view, before) = whole(Reach::Pods);
    assert!(before.services.iter().all(|wish| wish.service.announce == Announce::None));
    let ports = vec!["ens5".to_owned(), "eth0".to_owned()];
    view.move_to(Arc::new(Here { ports, ..Here::default() }));
    let policy = |label: &str| {
        object(json!({
            "metadata": {"name": "p"},
            "spec": {"loadBalancerIPs": true, "interfaces": ["^ens"],
                "serviceSelector": {"matchLabels": {"io.kubernetes.service.name": label}}},
        }))
    };
    let snapshot = change(&mut view, Watched::L2Policies, policy("old")).unwrap();
    let [old, new] = &snapshot.services[..] else { panic!("{snapshot:?}") };
    let Announce::Ports(ports) = &old.service.announce else { panic!("{old:?}") };
    assert_eq!(ports.iter().map(|port| port.value.as_str()).collect::<Vec<_>>(), ["ens5"]);
    assert!(Arc::ptr_eq(&new.service, &before.services[1].service), "that is another's");
    let deadline = snapshot.announced.deadlines.get(&Addr::v4([10, 9, 0, 1])).unwrap();
    assert_eq!(deadline.get(), BootTime::default());
    let [complaint] = &snapshot.complaints[..] else { panic!("{:?}", snapshot.complaints) };
    assert_eq!((complaint.reason, complaint.object.name.as_str()), ("NotAnnounced", "new"));
    assert!(complaint.message.contains("'new'"), "{}", complaint.message);

    let snapshot = change(&mut view, Watched::L2Policies, policy("neither")).unwrap();
    assert!(snapshot.services.iter().all(|wish| wish.service.announce == Announce::None));
    assert_eq!(snapshot.complaints.len(), 2);
}

/// How it stands with the deadline of a router address.
fn deadline(snapshot: &Snapshot, router: [u8; 4]) -> Option<BootTime> {
    snapshot.announced.deadlines.get(&Addr::v4(router)).map(dataplane::tables::Deadline::get)
}

#[test]
fn a_router_address_is_silent_until_it_is_known_who_follows_it() {
    let router = [10, 0, 0, 254];
    let never = Some(BootTime::default());
    let (mut view, _) = whole(Reach::Pods);
    view.move_to(Arc::new(Here { routers: [router.into()].into(), ..Here::default() }));
    assert_eq!(deadline(&view.snapshot().unwrap(), router), never, "another may lead");
    // An API server that starts may say so of everything that it was not made with.
    view.take(Watched::L2Policies, Told::Standing(Standing::Absent));
    view.take(Watched::CiliumNodes, Told::Standing(Standing::Absent));
    assert_eq!(deadline(&view.snapshot().unwrap(), router), never, "nor is that known");
    list(&mut view, Watched::L2Policies, Vec::new());
    list(&mut view, Watched::CiliumNodes, Vec::new());
    assert_eq!(deadline(&view.snapshot().unwrap(), router), None, "nobody follows it");
    view.take(Watched::Nodes, Told::Standing(Standing::Failed("away".into())));
    assert_eq!(deadline(&view.snapshot().unwrap(), router), None, "it was known");
}

#[test]
fn a_router_address_that_is_led_elsewhere_is_silent_where_no_policy_means_this_node() {
    let router = [10, 0, 0, 254];
    let (mut view, _) = whole(Reach::Pods);
    let ports = vec!["ens5".to_owned()];
    let routers = [router.into()].into();
    view.move_to(Arc::new(Here { ports, routers, ..Here::default() }));
    let mut nat = service("nat", "2026-01-03T00:00:00Z");
    nat.metadata.annotations = Some([("portreeve.io/mode".into(), "nat".into())].into());
    nat.data["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.9.0.3"}]}});
    change(&mut view, Watched::Services, nat);
    list(&mut view, Watched::CiliumNodes, Vec::new());
    let policy = object(json!({
        "metadata": {"name": "p"},
        "spec": {"loadBalancerIPs": true, "nodeSelector": {"matchLabels": {"role": "edge"}}},
    }));
    list(&mut view, Watched::L2Policies, vec![policy]);
    let snapshot = view.snapshot().unwrap();
    assert_eq!(deadline(&snapshot, router), Some(BootTime::default()));
}
