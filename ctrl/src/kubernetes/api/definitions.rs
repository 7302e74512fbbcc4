//! Clusters without Cilium get their definitions of Cilium's kinds from us, made of the types that read
//! the objects. They have the names, columns and constraints that Cilium's own have, and words of ours.
//! `deploy/kubernetes/crds/` holds them; a test keeps them what the types give.

/// The schema of a type, in the form that an API server takes.
mod schema;
/// Values as YAML.
mod yaml;

use std::path::Path;

use serde_json::{Value, json};

use super::l2_policy::{self, L2PolicySpec, L2PolicyStatus};
use super::pool::{self, IpPoolSpec, IpPoolStatus};

/// One kind of object.
struct Definition {
    /// The file that has it.
    file: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    /// The first is the one that is stored; those after it are on their way out.
    versions: &'static [&'static str],
    /// Title, type and path of each column between name and age.
    columns: &'static [[&'static str; 3]],
    /// What nothing can be said without.
    required: &'static [&'static str],
    spec: Value,
    status: Value,
}

fn pools() -> Definition {
    let mut spec = schema::of::<IpPoolSpec>();
    // Filled in by the API server, so that the column is never blank.
    spec["properties"]["disabled"]["default"] = json!(false);
    Definition {
        file: "ciliumloadbalancerippools.yaml",
        kind: pool::KIND,
        plural: "ciliumloadbalancerippools",
        short_names: &["ippools", "ippool", "lbippool", "lbippools"],
        versions: &pool::VERSIONS,
        columns: &[
            ["Disabled", "boolean", ".spec.disabled"],
            [
                "Conflicting",
                "string",
                r#".status.conditions[?(@.type=="cilium.io/PoolConflict")].status"#,
            ],
            [
                "IPs Available",
                "string",
                r#".status.conditions[?(@.type=="cilium.io/IPsAvailable")].message"#,
            ],
        ],
        required: &["spec"],
        spec,
        status: schema::of::<IpPoolStatus>(),
    }
}

fn policies() -> Definition {
    Definition {
        file: "ciliuml2announcementpolicies.yaml",
        kind: l2_policy::KIND,
        plural: "ciliuml2announcementpolicies",
        short_names: &["l2announcement"],
        versions: &[l2_policy::VERSION],
        columns: &[],
        required: &[],
        spec: schema::of::<L2PolicySpec>(),
        status: schema::of::<L2PolicyStatus>(),
    }
}

/// Of a CiliumNode we read the labels: what else it says is kept as it is.
fn nodes() -> Definition {
    let anything = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    Definition {
        file: "ciliumnodes.yaml",
        kind: "CiliumNode",
        plural: "ciliumnodes",
        short_names: &["cn", "ciliumn"],
        versions: &["v2"],
        columns: &[
            ["CiliumInternalIP", "string", r#".spec.addresses[?(@.type=="CiliumInternalIP")].ip"#],
            ["InternalIP", "string", r#".spec.addresses[?(@.type=="InternalIP")].ip"#],
        ],
        required: &["spec"],
        spec: anything(),
        status: anything(),
    }
}

impl Definition {
    fn object(&self) -> Value {
        let versions: Vec<_> =
            self.versions.iter().enumerate().map(|(at, name)| self.version(at, name)).collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{}", self.plural, pool::GROUP)},
            "spec": {
                "group": pool::GROUP,
                "scope": "Cluster",
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.kind.to_lowercase(),
                    "shortNames": self.short_names,
                    "categories": ["cilium"],
                },
                "versions": versions,
            },
        })
    }

    fn version(&self, at: usize, name: &str) -> Value {
        let column =
            |[name, kind, path]: &[&str; 3]| json!({"name": name, "type": kind, "jsonPath": path});
        let mut columns: Vec<_> = self.columns.iter().map(column).collect();
        columns.push(column(&["Age", "date", ".metadata.creationTimestamp"]));
        let mut version = json!({
            "name": name,
            "served": true,
            "storage": at == 0,
            "additionalPrinterColumns": columns,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {
                "type": "object",
                "required": self.required,
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": self.spec,
                    "status": self.status,
                },
            }},
        });
        if at > 0 {
            version["deprecated"] = json!(true);
        }
        version
    }

    fn text(&self) -> String {
        format!(
            "# Made of the types in ctrl/src/kubernetes/api/; a test there says how to make it anew.\n{}",
            yaml::text(&self.object())
        )
    }
}

/// `BLESS=1` writes what the types give now; read the change before it is committed.
#[test]
fn definitions_are_what_the_types_give() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/crds");
    for definition in [pools(), policies(), nodes()] {
        let path = directory.join(definition.file);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, definition.text()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == definition.text(),
            "{}: run `BLESS=1 cargo test -p portreeve definitions`",
            path.display()
        );
    }
}
