use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::{self, Condition};
use super::metadata::Metadata;
use super::null;
use super::selector::LabelSelector;

/// Group of the kind.
pub const GROUP: &str = "cilium.io";
/// Versions under which clusters serve it, the preferred first; both have the same fields.
pub const VERSIONS: [&str; 2] = ["v2", "v2alpha1"];
/// The kind, of the whole cluster.
pub const KIND: &str = "CiliumLoadBalancerIPPool";

/// Whether the pool is kept from giving out addresses because its ranges overlap others.
pub const CONFLICT: &str = "cilium.io/PoolConflict";
/// How many addresses its ranges have.
pub const TOTAL: &str = "cilium.io/IPsTotal";
/// How many of them are free.
pub const AVAILABLE: &str = "cilium.io/IPsAvailable";
/// How many of them are not, those that the pool keeps back included.
pub const USED: &str = "cilium.io/IPsUsed";

/// Addresses for services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpPool {
    /// Name, age and generation.
    pub metadata: Metadata,
    /// What its owner wants.
    pub spec: IpPoolSpec,
    /// What the one who gives out addresses says.
    #[serde(deserialize_with = "null::as_empty")]
    pub status: IpPoolStatus,
}

/// What the owner of a pool wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct IpPoolSpec {
    /// Its addresses, given out in this order.
    #[serde(deserialize_with = "null::as_empty")]
    pub blocks: Vec<Block>,
    /// Whether the first and the last address of a `cidr` are given out; both are if this is
    /// absent.
    #[serde(rename = "allowFirstLastIPs", skip_serializing_if = "Option::is_none")]
    pub allow_first_last_ips: Option<AllowFirstLastIps>,
    /// Which services it is for; absent: for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,
    /// Keeps it from giving out addresses; those that were given stay.
    pub disabled: bool,
}

/// A range of addresses: by `cidr`, or from `start` to `stop`, both included. An empty text is as
/// good as none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Block {
    /// A prefix; takes precedence over the other two.
    #[cfg_attr(test, schemars(extend("format" = "cidr")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// The first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The last address; absent: the first is the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
}

/// Whether the first and the last address of a `cidr` are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum AllowFirstLastIps {
    /// They are.
    Yes,
    /// They are kept back, unless there are no others.
    No,
}

/// What the one who gives out addresses says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct IpPoolStatus {
    /// [`CONFLICT`], [`TOTAL`], [`AVAILABLE`] and [`USED`].
    #[serde(deserialize_with = "null::as_empty")]
    pub conditions: Vec<Condition>,
}

/// What `kubectl get ippools` prints between the name and the age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// DISABLED
    pub disabled: bool,
    /// CONFLICTING; empty before anything was said.
    pub conflicting: String,
    /// IPS AVAILABLE; empty before anything was said.
    pub available: String,
}

impl IpPool {
    /// What `kubectl get ippools` prints of it.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let find = |kind| condition::find(&self.status.conditions, kind);
        Columns {
            disabled: self.spec.disabled,
            conflicting: find(CONFLICT).map(|found| found.status.to_string()).unwrap_or_default(),
            available: find(AVAILABLE).map(|found| found.message.clone()).unwrap_or_default(),
        }
    }
}

impl IpPoolSpec {
    /// Whether the ends of its prefixes are kept back.
    #[must_use]
    pub fn keeps_ends(&self) -> bool {
        self.allow_first_last_ips == Some(AllowFirstLastIps::No)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        match text(&self.cidr) {
            cidr if !cidr.is_empty() => f.write_str(&cidr),
            _ => write!(f, "{} - {}", text(&self.start), text(&self.stop)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_read_the_same() {
        let text = |version: &str| {
            format!(
                "{{\"apiVersion\": \"{GROUP}/{version}\", \"kind\": \"{KIND}\",
                \"metadata\": {{\"name\": \"cilium-lb-ippool\"}}, \"spec\": {{
                \"blocks\": [{{\"cidr\": \"10.10.200.0/29\"}}], \"allowFirstLastIPs\": \"No\"}}}}"
            )
        };
        let [new, old] = VERSIONS.map(|version| serde_json::from_str(&text(version)).unwrap());
        let pool: IpPool = new;
        assert_eq!(pool, old);
        assert!(pool.spec.keeps_ends() && !pool.spec.disabled);
        assert_eq!(pool.spec.blocks[0].to_string(), "10.10.200.0/29");
    }

    #[test]
    fn columns_are_blank_before_anything_was_said() {
        let columns = IpPool::default().columns();
        assert_eq!((columns.conflicting.as_str(), columns.available.as_str()), ("", ""));
    }
}
