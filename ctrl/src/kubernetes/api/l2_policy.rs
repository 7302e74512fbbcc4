use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::metadata::Metadata;
use super::null;
use super::selector::LabelSelector;

/// Group of the kind.
pub const GROUP: &str = "cilium.io";
/// The version under which clusters serve it.
pub const VERSION: &str = "v2alpha1";
/// The kind, of the whole cluster.
pub const KIND: &str = "CiliumL2AnnouncementPolicy";

/// Whether the node selector makes no sense.
pub const BAD_NODE_SELECTOR: &str = "io.cilium/bad-node-selector";
/// Whether the service selector makes no sense.
pub const BAD_SERVICE_SELECTOR: &str = "io.cilium/bad-service-selector";
/// Whether one of the interfaces is no regular expression.
pub const BAD_INTERFACE_REGEX: &str = "io.cilium/bad-interface-regex";

/// Who announces which services, and on which interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct L2Policy {
    /// Name, age and generation.
    pub metadata: Metadata,
    /// What its owner wants.
    #[serde(deserialize_with = "null::as_empty")]
    pub spec: L2PolicySpec,
    /// What gateways say of it.
    #[serde(deserialize_with = "null::as_empty")]
    pub status: L2PolicyStatus,
}

/// What the owner of a policy wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct L2PolicySpec {
    /// Which nodes announce; absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Which services are announced; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,
    /// Whether addresses from their status are announced.
    #[serde(rename = "loadBalancerIPs", deserialize_with = "null::as_empty")]
    pub load_balancer_ips: bool,
    /// Whether `spec.externalIPs` are announced.
    #[serde(rename = "externalIPs", deserialize_with = "null::as_empty")]
    pub external_ips: bool,
    /// Regular expressions for names of interfaces, of which one must be found in a name; without
    /// any, all interfaces are meant.
    #[serde(deserialize_with = "null::as_empty")]
    pub interfaces: Vec<String>,
}

/// What gateways say of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct L2PolicyStatus {
    /// [`BAD_NODE_SELECTOR`], [`BAD_SERVICE_SELECTOR`] and [`BAD_INTERFACE_REGEX`].
    #[serde(deserialize_with = "null::as_empty")]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_policy_is_read() {
        let text = r#"{"apiVersion": "cilium.io/v2alpha1", "kind": "CiliumL2AnnouncementPolicy",
            "metadata": {"name": "policy1"}, "spec": {
            "serviceSelector": {"matchLabels": {"color": "blue"}},
            "nodeSelector": {"matchExpressions": [
                {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}]},
            "interfaces": ["^ens[0-9]+"], "externalIPs": true, "loadBalancerIPs": true}}"#;
        let policy: L2Policy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.spec.interfaces, ["^ens[0-9]+"]);
        assert!(policy.spec.external_ips && policy.spec.load_balancer_ips);
        assert!(policy.spec.service_selector.is_some() && policy.spec.node_selector.is_some());
    }

    #[test]
    fn null_is_nothing() {
        let text = r#"{"metadata": {"name": "p"}, "status": null, "spec": {"interfaces": null,
            "nodeSelector": null, "externalIPs": null}}"#;
        let policy: L2Policy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.spec, L2PolicySpec::default());
        let bare: L2Policy = serde_json::from_str(r#"{"spec": null}"#).unwrap();
        assert_eq!(bare, L2Policy::default());
    }
}
