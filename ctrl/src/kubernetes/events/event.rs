use std::time::SystemTime;

use kube::api::ApiResource;
use serde_json::{Value, json};

use crate::kubernetes::api::lease::MicroTime;
use crate::kubernetes::kinds::Watched;
use crate::kubernetes::snapshot::Complaint;

/// Who says it.
const CONTROLLER: &str = "portreeve.io/gateway";
/// Bytes of a note that the API server takes.
const NOTE_MAX: usize = 1_024;
/// Objects of the whole cluster have their Events there.
const DEFAULT: &str = "default";
/// Bytes of an object's name in the name of the Event: 17 more must fit.
const NAME_MAX: usize = 200;

/// An Event on an object. The same complaint of the same gateway has the same name, so that a gateway that was
/// started again goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// All but when.
    fields: Value,
}

/// Events, as the client wants to know of them.
pub(super) fn resource() -> ApiResource {
    ApiResource {
        group: "events.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "events.k8s.io/v1".to_owned(),
        kind: "Event".to_owned(),
        plural: "events".to_owned(),
    }
}

/// The version of a kind that has objects; `None` for what is none of the cluster's.
fn api_version(kind: &str) -> Option<String> {
    let watched = Watched::ALL.iter().map(|which| which.kind()).find(|known| known.kind == kind)?;
    Some(watched.resource(watched.versions[0]).api_version)
}

/// Whether there is an object to say it on.
pub(super) fn can_be_said(complaint: &Complaint) -> bool {
    api_version(complaint.kind).is_some()
}

impl Event {
    /// What `node` says of an object.
    pub fn new(complaint: &Complaint, node: &str) -> Self {
        let Complaint { kind, object, uid, reason, message } = complaint;
        let of_cluster = object.namespace.is_empty();
        let namespace = if of_cluster { DEFAULT } else { &object.namespace };
        let mut name = cut(&object.name, NAME_MAX).to_owned();
        name += &format!(".{:016x}", hash(&[kind, uid, reason, message, node]));
        let mut regarding = json!({
            "apiVersion": api_version(kind), "kind": kind, "name": object.name,
        });
        if !of_cluster {
            regarding["namespace"] = json!(namespace);
        }
        if !uid.is_empty() {
            regarding["uid"] = json!(uid);
        }
        let fields = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "type": "Warning", "reason": reason, "note": cut(message, NOTE_MAX),
            "action": "Serving", "regarding": regarding,
            "reportingController": CONTROLLER, "reportingInstance": cut(node, 128),
        });
        Self { namespace: namespace.to_owned(), name, fields }
    }

    /// As it is written the first time.
    pub fn first(&self) -> Value {
        let mut fields = self.fields.clone();
        fields["eventTime"] = json!(now());
        fields
    }

    /// What is written over it when it is said for the `count`th time.
    pub fn again(&self, count: u32) -> Value {
        json!({"series": {"count": count, "lastObservedTime": now()}})
    }
}

fn now() -> String {
    let MicroTime(text) = SystemTime::now().into();
    text
}

/// At most so many bytes, whole characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// FNV-1a: the same in every version of this program.
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::metadata::Key;

    fn complaint(namespace: &str, message: &str) -> Complaint {
        Complaint {
            kind: if namespace.is_empty() { "CiliumLoadBalancerIPPool" } else { "Service" },
            object: Key { namespace: namespace.into(), name: "x".into() },
            uid: "u".into(),
            reason: "AddressInUse",
            message: message.into(),
        }
    }

    #[test]
    fn an_event_is_on_its_object_and_names_who_says_it() {
        let event = Event::new(&complaint("shop", "why"), "gateway1").first();
        assert_eq!(event["metadata"]["namespace"], "shop");
        let regarding = json!({"apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "x", "uid": "u"});
        assert_eq!(event["regarding"], regarding);
        assert_eq!((&event["note"], &event["reason"]), (&json!("why"), &json!("AddressInUse")));
        assert_eq!(event["reportingInstance"], "gateway1");
        let of_cluster = Event::new(&complaint("", "why"), "gateway1").first();
        assert_eq!(of_cluster["metadata"]["namespace"], "default");
        assert_eq!(of_cluster["regarding"]["apiVersion"], "cilium.io/v2");
        assert_eq!(of_cluster["regarding"]["namespace"], Value::Null);
    }

    #[test]
    fn the_same_complaint_has_the_same_name_and_another_one_another() {
        let name = |message, node| Event::new(&complaint("shop", message), node).name;
        assert_eq!(name("why", "gateway1"), name("why", "gateway1"));
        assert_ne!(name("why", "gateway1"), name("why", "gateway2"));
        assert_ne!(name("why", "gateway1"), name("other", "gateway1"));
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let event = Event::new(&complaint("shop", &"ä".repeat(1_000)), "gateway1").first();
        assert_eq!(event["note"].as_str().unwrap().len(), NOTE_MAX);
    }

    #[test]
    fn what_is_no_object_of_the_cluster_has_no_events() {
        assert!(can_be_said(&complaint("shop", "")));
        assert!(!can_be_said(&Complaint { kind: "Gateway", ..complaint("shop", "") }));
    }
}
