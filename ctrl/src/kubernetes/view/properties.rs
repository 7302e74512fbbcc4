//! What a view keeps is what one would find that is told everything at once.

use std::collections::BTreeMap;

use dataplane::addr::Addr;
use kube::api::DynamicObject;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::desired::kubernetes::Reach;
use crate::kubernetes::store::News;

/// What happens to an object: it is this one now, or gone.
#[derive(Debug, Clone)]
struct Edit {
    which: Watched,
    name: String,
    now: Option<Value>,
}

fn edit(which: Watched, name: String, mut value: Value, namespace: &str, gone: bool) -> Edit {
    value["metadata"]["name"] = json!(name);
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    Edit { which, name, now: (!gone).then_some(value) }
}

fn any_service() -> impl Strategy<Value = Edit> {
    let words = (0..4_u8, 1..4_u8, 0..3_u8, 1..5_u8, any::<bool>(), prop::bool::weighted(0.2));
    words.prop_map(|(name, age, color, vip, sctp, gone)| {
        let ports = if sctp {
            json!([{"port": 80}, {"port": 81, "protocol": "SCTP"}])
        } else {
            json!([{"port": 80}])
        };
        let value = json!({
            "metadata": {"creationTimestamp": format!("2026-01-0{age}T00:00:00Z"),
                "uid": format!("u{age}"), "labels": {"color": color.to_string()}},
            "spec": {"type": "LoadBalancer", "ports": ports},
            "status": {"loadBalancer": {"ingress": [{"ip": format!("10.9.0.{vip}")}]}},
        });
        edit(Watched::Services, format!("s{name}"), value, "default", gone)
    })
}

fn any_slice() -> impl Strategy<Value = Edit> {
    (0..4_u8, 0..4_u8, 1..5_u8, prop::bool::weighted(0.2)).prop_map(|(name, of, address, gone)| {
        let value = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": format!("s{of}")}},
            "addressType": "IPv4", "ports": [{"port": 80}],
            "endpoints": [{"addresses": [format!("10.1.0.{address}")]}],
        });
        edit(Watched::EndpointSlices, format!("e{name}"), value, "default", gone)
    })
}

/// Never one that can be read: of such a one the last state would stay.
fn unreadable_slice() -> impl Strategy<Value = Edit> {
    (0..3_u8, any::<bool>()).prop_map(|(why, gone)| {
        let endpoints = [json!("nobody"), json!(3), json!([7])][usize::from(why)].clone();
        let value = json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints});
        edit(Watched::EndpointSlices, "broken".to_owned(), value, "default", gone)
    })
}

fn any_policy() -> impl Strategy<Value = Edit> {
    (0..2_u8, 0..3_u8, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(name, color, whole, gone)| {
            let interfaces = if whole { json!(["^ens"]) } else { json!(["^eth"]) };
            let value = json!({
                "metadata": {},
                "spec": {"loadBalancerIPs": true, "interfaces": interfaces,
                    "serviceSelector": {"matchLabels": {"color": color.to_string()}}},
            });
            edit(Watched::L2Policies, format!("p{name}"), value, "", gone)
        },
    )
}

fn any_config() -> impl Strategy<Value = Edit> {
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(seed, soon, gone)| {
        let mut data = json!({"l2-announcements-lease-duration": if soon { "soon" } else { "3s" }});
        if seed {
            data["bpf-lb-maglev-hash-seed"] = json!("x");
        }
        let value = json!({"metadata": {"uid": "c"}, "data": data});
        edit(Watched::CiliumConfig, "cilium-config".to_owned(), value, "kube-system", gone)
    })
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => any_service(), 5 => any_slice(), 1 => unreadable_slice(), 2 => any_policy(), 1 => any_config()
    ]
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).unwrap()
}

fn view() -> View {
    let settings = KubernetesSettings { reach: Reach::Pods, ..KubernetesSettings::default() };
    let mut view = View::new(settings, "gateway".into());
    let ports = vec!["ens5".to_owned()];
    view.move_to(Arc::new(Here { ports, ..Here::default() }));
    view
}

fn list(view: &mut View, which: Watched, objects: Vec<DynamicObject>) {
    view.take(which, Told::News(News::All(objects, None)));
    view.take(which, Told::Standing(Standing::Watched));
}

/// A view that is told of all that there is.
fn anew(objects: &BTreeMap<(Watched, String), Value>) -> Snapshot {
    let mut view = view();
    for which in Watched::ALL {
        let of_kind = objects.iter().filter(|((kind, _), _)| kind == which);
        list(&mut view, *which, of_kind.map(|(_, value)| object(value)).collect());
    }
    view.snapshot().unwrap()
}

fn announced(snapshot: &Snapshot) -> Vec<bool> {
    let deadlines = &snapshot.announced.deadlines;
    (0..6).map(|host| deadlines.get(&Addr::v4([10, 9, 0, host])).is_some()).collect()
}

proptest! {
    #[test]
    fn what_is_kept_is_what_would_be_found_anew(edits in prop::collection::vec(any_edit(), 1..40)) {
        let mut view = view();
        for which in Watched::ALL {
            list(&mut view, *which, Vec::new());
        }
        let mut kept = view.snapshot().unwrap();
        let mut objects = BTreeMap::new();
        for Edit { which, name, now } in edits {
            let place = (which, name);
            let news = match &now {
                Some(value) => News::Changed(Box::new(object(value))),
                None => match objects.get(&place) {
                    Some(value) => News::Gone(crate::kubernetes::store::key(&object(value)), None),
                    None => continue,
                },
            };
            match now {
                Some(value) => objects.insert(place, value),
                None => objects.remove(&place),
            };
            view.take(which, Told::News(news));
            kept = view.snapshot().unwrap_or(kept);
            let anew = anew(&objects);
            prop_assert_eq!(&kept.services, &anew.services);
            prop_assert_eq!(&kept.complaints, &anew.complaints);
            prop_assert_eq!(announced(&kept), announced(&anew));
        }
    }
}
