use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::metadata::Metadata;
use super::null;

/// A Service, as far as giving it an address needs it.
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
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Port number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
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

fn tcp() -> String {
    "TCP".to_owned()
}
