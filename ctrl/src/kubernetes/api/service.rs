use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::metadata::Metadata;
use super::null;

/// A Service, as far as giving it an address and serving it need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name, age, labels and annotations.
    pub metadata: Metadata,
    /// What its owner wants.
    pub spec: ServiceSpec,
    /// What others say.
    pub status: ServiceStatus,
}

/// What the owner of a service wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose the service is among load balancers; absent: the default one's.
    pub load_balancer_class: Option<String>,
    /// An address that it asks for.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: String,
    /// Address families in order of preference: `IPv4`, `IPv6`.
    #[serde(deserialize_with = "null::as_empty")]
    pub ip_families: Vec<String>,
    /// `SingleStack`, `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
    /// Where it listens.
    #[serde(deserialize_with = "null::as_empty")]
    pub ports: Vec<Port>,
    /// `Cluster` or `Local`.
    pub external_traffic_policy: String,
    /// Labels of its pods.
    #[serde(deserialize_with = "null::as_empty")]
    pub selector: BTreeMap<String, String>,
    /// Its address inside of the cluster; `None` (the word) for services without.
    #[serde(rename = "clusterIP", skip_serializing_if = "String::is_empty")]
    pub cluster_ip: String,
    /// Addresses that somebody else routes to it.
    #[serde(
        rename = "externalIPs",
        deserialize_with = "null::as_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub external_ips: Vec<String>,
    /// Clients that are served; empty: all.
    #[serde(deserialize_with = "null::as_empty", skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Where load balancers before the nodes ask whether there are endpoints behind this one; 0 for none.
    #[serde(skip_serializing_if = "is_none")]
    pub health_check_node_port: i32,
    /// `ClientIP` or `None`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_affinity: String,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Port number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Tells it from the others; empty where there is one only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The same service on every node; 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub node_port: i32,
}

/// What others say of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Where it can be had from outside.
    #[serde(deserialize_with = "null::as_empty")]
    pub load_balancer: LoadBalancerStatus,
    /// Of everybody who has something to say.
    #[serde(deserialize_with = "null::as_empty")]
    pub conditions: Vec<Condition>,
}

/// Where a service can be had from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Its addresses: one atomic list, which belongs to the one load balancer of the service.
    #[serde(deserialize_with = "null::as_empty")]
    pub ingress: Vec<Ingress>,
}

/// One way to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Its address, as it was written; empty if it has a name only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Fields that we keep as they are: `hostname`, `ipMode`, `ports`.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(port: &i32) -> bool {
    *port == 0
}

fn tcp() -> String {
    "TCP".to_owned()
}
