use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::null;

/// Label that names the service that a slice belongs to.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Some of the endpoints of a service, all of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// Where they are.
    #[serde(deserialize_with = "null::as_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Where each of them listens; each port of the service has one of the same name.
    #[serde(deserialize_with = "null::as_empty")]
    pub ports: Vec<EndpointPort>,
}

/// Something that serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Its addresses; only the first one has a meaning.
    #[serde(deserialize_with = "null::as_empty")]
    pub addresses: Vec<String>,
    /// How it is.
    #[serde(deserialize_with = "null::as_empty")]
    pub conditions: EndpointConditions,
    /// The node that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

/// How an endpoint is. What is not said counts as Kubernetes says beside each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// It may get new connections. Not said: it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// It answers, whether it ends or not. Not said: as `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// It is being ended. Not said: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// Where the endpoints of a slice listen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// Name of the service's port; empty where that has none.
    #[serde(deserialize_with = "null::as_empty")]
    pub name: String,
    /// Port number; absent: every port.
    pub port: Option<i32>,
    /// `TCP`, `UDP` or `SCTP`; absent: `TCP`.
    pub protocol: Option<String>,
}

impl EndpointSlice {
    /// The service that it belongs to; `None` for slices that belong to none.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get(SERVICE_NAME).map(String::as_str).filter(|name| !name.is_empty())
    }
}

impl EndpointConditions {
    /// Whether it may get new connections.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Whether it answers.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving.unwrap_or_else(|| self.is_ready())
    }

    /// Whether it is being ended.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.terminating.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_counts_as_kubernetes_says() {
        let read = |text: &str| serde_json::from_str::<EndpointConditions>(text).unwrap();
        let states = |text: &str| {
            let found = read(text);
            [found.is_ready(), found.is_serving(), found.is_terminating()]
        };
        assert_eq!(states("{}"), [true, true, false]);
        assert_eq!(states(r#"{"ready": false}"#), [false, false, false]);
        let ending = r#"{"ready": false, "serving": true, "terminating": true}"#;
        assert_eq!(states(ending), [false, true, true]);
        assert_eq!(states(r#"{"ready": null, "serving": null}"#), [true, true, false]);
    }

    #[test]
    fn nulls_are_read_as_nothing() {
        let text = r#"{"endpoints": null, "ports": null, "addressType": "IPv4",
            "metadata": {"name": "a", "namespace": "b", "labels": {"kubernetes.io/service-name": "web"}}}"#;
        let slice: EndpointSlice = serde_json::from_str(text).unwrap();
        assert_eq!(slice.service(), Some("web"));
        assert!(slice.endpoints.is_empty() && slice.ports.is_empty());
    }
}
