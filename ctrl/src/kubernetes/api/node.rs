use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::null;

/// A node, as far as reaching what is on it needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name and labels.
    pub metadata: Metadata,
    /// What was decided for it.
    #[serde(deserialize_with = "null::as_empty")]
    pub spec: NodeSpec,
    /// What it says of itself.
    #[serde(deserialize_with = "null::as_empty")]
    pub status: NodeStatus,
}

/// What was decided for a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Prefixes of its pods' addresses.
    #[serde(rename = "podCIDRs", deserialize_with = "null::as_empty")]
    pub pod_cidrs: Vec<String>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// How it is reached.
    #[serde(deserialize_with = "null::as_empty")]
    pub addresses: Vec<NodeAddress>,
    /// Statements about it.
    #[serde(deserialize_with = "null::as_empty")]
    pub conditions: Vec<NodeCondition>,
}

/// One way to reach a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// An address or a name.
    pub address: String,
}

/// A statement about a node. Unlike other conditions these come without a reason at times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

impl Node {
    /// Its addresses inside of the cluster, in its own order.
    pub fn internal_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let internal = self.status.addresses.iter().filter(|address| address.kind == "InternalIP");
        internal.filter_map(|address| address.address.parse().ok())
    }

    /// Whether it says that it works.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|found| found.kind == "Ready" && found.status == "True")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_at_its_internal_addresses() {
        let text = r#"{"metadata": {"name": "worker1"}, "spec": {"podCIDRs": null}, "status": {
            "addresses": [{"type": "Hostname", "address": "worker1"},
                {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}],
            "conditions": [{"type": "Ready", "status": "True"}]}}"#;
        let node: Node = serde_json::from_str(text).unwrap();
        let found: Vec<_> = node.internal_addresses().map(|addr| addr.to_string()).collect();
        assert_eq!(found, ["10.0.0.1", "fd00::1"]);
        assert!(node.is_ready());
        assert!(!Node::default().is_ready());
    }
}
