use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::maglev::TABLE_SIZES;
use ipnet::IpNet;

use crate::desired::kubernetes::{KubernetesSettings, Reach};
use crate::kubernetes::api::config_map::ConfigMap;
use crate::kubernetes::api::node::Node;
use crate::kubernetes::kinds::Store;
use crate::kubernetes::routes::PodRoute;
use crate::kubernetes::snapshot::{Complaint, MaglevHints};

/// Nodes that take no traffic from outside.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What holds for all services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How pods are reached.
    pub path: Path,
    /// Nodes whose node ports may be used; none where pods are reached themselves.
    pub nodes: Vec<Entrance>,
    /// Where pods are; empty where nobody wants to know.
    pub routes: Arc<[PodRoute]>,
    /// What Cilium was told of Maglev.
    pub maglev: MaglevHints,
}

/// How pods are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// At their own addresses.
    Pods,
    /// By node ports.
    NodePort,
}

/// A node whose node ports may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// Its name.
    pub node: String,
    /// Its addresses inside of the cluster.
    pub addresses: Vec<IpAddr>,
}

impl Facts {
    /// What the objects come to, and what is wrong with them. `node` is our own.
    #[must_use]
    pub fn new(settings: &KubernetesSettings, node: &str, store: &Store) -> (Self, Vec<Complaint>) {
        let config = store.cilium_config(&settings.namespace);
        let mut complaints = Vec::new();
        let path = match settings.reach {
            Reach::Pods => Path::Pods,
            Reach::NodePort => Path::NodePort,
            Reach::Auto => suggested(config),
        };
        let maglev = config.map(|config| maglev(config, &mut complaints)).unwrap_or_default();
        let nodes = match path {
            Path::Pods => Vec::new(),
            Path::NodePort => entrances(store, node),
        };
        let routes = match path {
            Path::Pods if settings.pod_routes => routes(store, node),
            _ => Arc::default(),
        };
        (Self { path, nodes, routes, maglev }, complaints)
    }
}

/// In a tunnel, addresses of pods mean nothing outside of the cluster.
fn suggested(config: Option<&ConfigMap>) -> Path {
    let Some(config) = config else { return Path::Pods };
    let says = |key: &str, value: &str| config.data.get(key).is_some_and(|said| said == value);
    // The second one is how Cilium said it before 1.14.
    if says("routing-mode", "native") || says("tunnel", "disabled") {
        Path::Pods
    } else {
        Path::NodePort
    }
}

/// In the order of their names. Our own node is none: what is sent to ourselves reaches no wire.
fn entrances(store: &Store, own: &str) -> Vec<Entrance> {
    let open = |node: &&Node| {
        node.is_ready() && node.metadata.name != own && !node.metadata.labels.contains_key(EXCLUDED)
    };
    let nodes = store.nodes.iter().map(|(_, node)| &**node).filter(open);
    let entrance = |node: &Node| Entrance {
        node: node.metadata.name.clone(),
        addresses: node.internal_addresses().collect(),
    };
    nodes.map(entrance).collect()
}

/// A node that is not ready still routes, as far as anybody knows.
fn routes(store: &Store, own: &str) -> Arc<[PodRoute]> {
    let others = store.nodes.iter().filter(|(key, _)| key.name != own);
    let of = |(_, node): (_, &Arc<Node>)| {
        let prefixes = node.spec.pod_cidrs.iter().filter_map(|text| text.parse::<IpNet>().ok());
        let via = |prefix: &IpNet| {
            let v4 = prefix.addr().is_ipv4();
            node.internal_addresses().find(|addr| addr.is_ipv4() == v4)
        };
        let route = |prefix: IpNet| Some(PodRoute { prefix: prefix.trunc(), via: via(&prefix)? });
        prefixes.filter_map(route).collect::<Vec<_>>()
    };
    others.flat_map(of).collect()
}

fn maglev(config: &ConfigMap, complaints: &mut Vec<Complaint>) -> MaglevHints {
    let mut read = |key: &str, usable: &dyn Fn(&str) -> Option<MaglevHints>| {
        let text = config.data.get(key).filter(|text| !text.is_empty())?;
        let found = usable(text);
        if found.is_none() {
            complaints.push(Complaint {
                kind: "ConfigMap",
                object: config.metadata.key(),
                uid: config.metadata.uid.clone(),
                reason: "MaglevSettingInvalid",
                message: format!("{key} is \"{text}\", which cannot be used; ours is used instead"),
            });
        }
        found
    };
    let size = read("bpf-lb-maglev-table-size", &|text| {
        let size = text.parse().ok().filter(|size| TABLE_SIZES.contains(size))?;
        Some(MaglevHints { table_size: Some(size), seeds: None })
    });
    let seeds = read("bpf-lb-maglev-hash-seed", &|text| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        let seeds = HashSeeds::from_bytes(bytes.try_into().ok()?);
        Some(MaglevHints { table_size: None, seeds: Some(seeds) })
    });
    MaglevHints {
        table_size: size.and_then(|hints| hints.table_size),
        seeds: seeds.and_then(|hints| hints.seeds),
    }
}
