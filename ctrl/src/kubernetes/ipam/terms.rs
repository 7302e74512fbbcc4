use std::collections::BTreeMap;

use crate::kubernetes::api::service::Port;

/// Allows all namespaces.
const ANY_NAMESPACE: &str = "*";

/// What decides whether two services may have one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Only those with one key share.
    pub key: Option<String>,
    /// Where the service is.
    pub namespace: String,
    /// Other namespaces that it shares with.
    pub namespaces: Vec<String>,
    /// Where it listens.
    pub ports: Vec<Port>,
    /// `externalTrafficPolicy`
    pub traffic_policy: String,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
}

impl Terms {
    /// Why a service that has an address cannot share it with another one; `None` if it can.
    #[must_use]
    pub fn objection(&self, other: &Self) -> Option<&'static str> {
        if self.key != other.key {
            return Some("different sharing key");
        }
        let permitted = self.permits(&other.namespace) && other.permits(&self.namespace);
        if self.namespace != other.namespace && !permitted {
            return Some("different and not permitted namespace");
        }
        // Names and node ports are others for every service.
        let same = |a: &Port, b: &Port| (a.port, &a.protocol) == (b.port, &b.protocol);
        if self.ports.iter().any(|port| other.ports.iter().any(|held| same(port, held))) {
            return Some("same port and protocol");
        }
        if self.traffic_policy != other.traffic_policy {
            return Some("different ExternalTrafficPolicy");
        }
        // Traffic comes to a node that has pods of one of them: they must be the pods of both.
        let same_pods = !self.selector.is_empty() && self.selector == other.selector;
        (self.traffic_policy == "Local" && !same_pods)
            .then_some("compatible ExternalTrafficPolicy local but selecting different set of pods")
    }

    fn permits(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|permitted| permitted == namespace || permitted == ANY_NAMESPACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(change: impl FnOnce(&mut Terms)) -> Terms {
        let mut terms = Terms {
            key: Some("k".to_owned()),
            namespace: "a".to_owned(),
            namespaces: Vec::new(),
            ports: Vec::new(),
            traffic_policy: "Cluster".to_owned(),
            selector: BTreeMap::new(),
        };
        change(&mut terms);
        terms
    }

    fn port(port: i32, protocol: &str) -> Port {
        Port { port, protocol: protocol.to_owned(), name: String::new(), node_port: 0 }
    }

    #[test]
    fn both_must_have_one_key() {
        let plain = terms(|_| {});
        assert_eq!(plain.objection(&plain), None);
        let other = terms(|terms| terms.key = None);
        assert_eq!(plain.objection(&other), Some("different sharing key"));
    }

    #[test]
    fn namespaces_must_permit_each_other() {
        let of = |namespace: &str, permits: &[&str]| {
            terms(|terms| {
                terms.namespace = namespace.to_owned();
                terms.namespaces = permits.iter().map(|name| (*name).to_owned()).collect();
            })
        };
        let refused = Some("different and not permitted namespace");
        assert_eq!(of("a", &["b"]).objection(&of("b", &["a"])), None);
        assert_eq!(of("a", &["*"]).objection(&of("b", &["x", "*"])), None);
        assert_eq!(of("a", &["b"]).objection(&of("b", &[])), refused);
        assert_eq!(of("a", &[]).objection(&of("b", &["*"])), refused);
        assert_eq!(of("a", &[" b"]).objection(&of("b", &["*"])), refused);
    }

    #[test]
    fn a_port_of_one_protocol_belongs_to_one_service() {
        let of = |ports: &[Port]| terms(|terms| terms.ports = ports.to_vec());
        let (tcp, udp) = (port(53, "TCP"), port(53, "UDP"));
        assert_eq!(of(std::slice::from_ref(&tcp)).objection(&of(std::slice::from_ref(&udp))), None);
        let both = of(&[tcp, udp.clone()]);
        let udp = Port { name: "dns".to_owned(), node_port: 30_053, ..udp };
        assert_eq!(both.objection(&of(&[udp])), Some("same port and protocol"));
    }

    #[test]
    fn local_traffic_needs_the_same_pods() {
        let local = |app: Option<&str>| {
            terms(|terms| {
                terms.traffic_policy = "Local".to_owned();
                let label = app.map(|app| ("app".to_owned(), app.to_owned()));
                terms.selector = label.into_iter().collect();
            })
        };
        assert_eq!(local(Some("x")).objection(&local(Some("x"))), None);
        assert!(local(Some("x")).objection(&local(Some("y"))).is_some());
        assert!(local(None).objection(&local(None)).is_some());
        let cluster = terms(|_| {});
        assert_eq!(local(None).objection(&cluster), Some("different ExternalTrafficPolicy"));
    }
}
