//! The kinds of objects that are watched. One more is a line at the end, and its type.

use kube::api::ApiResource;

use super::api::config_map::ConfigMap;
use super::api::endpoint_slice::EndpointSlice;
use super::api::l2_policy::{self, L2Policy};
use super::api::lease::Lease;
use super::api::metadata::Key;
use super::api::node::Node;
use super::api::pool::{self, IpPool};
use super::api::raw::Raw;
use super::api::service::Service;
use super::store::Collection;

/// A kind as the API server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core's.
    pub group: &'static str,
    /// Versions to try, the preferred first.
    pub versions: &'static [&'static str],
    /// Its name in objects.
    pub kind: &'static str,
    /// Its name in addresses and roles.
    pub plural: &'static str,
    /// Which of its objects matter.
    pub scope: Scope,
    /// Whether services can be served only once its objects are known, or known to be kept from us.
    pub awaited: bool,
}

/// Which objects of a kind matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All in the cluster.
    All,
    /// Those in our namespace.
    OurNamespace,
    /// One in our namespace, by name.
    One(&'static str),
}

impl Kind {
    const fn core(kind: &'static str, plural: &'static str) -> Self {
        let versions = &["v1"];
        Self { group: "", versions, kind, plural, scope: Scope::All, awaited: false }
    }

    const fn cilium(
        kind: &'static str,
        plural: &'static str,
        versions: &'static [&'static str],
    ) -> Self {
        Self { group: "cilium.io", versions, kind, plural, scope: Scope::All, awaited: false }
    }

    const fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    const fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    const fn awaited(self) -> Self {
        Self { awaited: true, ..self }
    }

    /// Names one of its versions to the client.
    #[must_use]
    pub fn resource(&self, version: &str) -> ApiResource {
        let api_version = match self.group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        ApiResource {
            group: self.group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// The rule that a role needs so that we may watch it.
    #[must_use]
    pub fn rule(&self) -> String {
        let name = match self.scope {
            Scope::One(name) => format!(", resourceNames: [\"{name}\"]"),
            Scope::All | Scope::OurNamespace => String::new(),
        };
        let (group, plural) = (self.group, self.plural);
        format!(
            "apiGroups: [\"{group}\"], resources: [\"{plural}\"]{name}, verbs: [\"get\", \"list\", \"watch\"]"
        )
    }
}

/// Defines [`Store`] and [`Watched`]: objects of each kind, and which kinds there are.
macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident $name:ident: $object:ty = $kind:expr;)+) => {
        /// Which kind of object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Watched {
            $($(#[$doc])* $name,)+
        }

        /// All objects that are known.
        #[derive(Debug, Default)]
        pub struct Store {
            $($(#[$doc])* pub $field: Collection<$object>,)+
        }

        impl Watched {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The kind as the API server knows it.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => $kind,)+
                }
            }
        }

        impl Store {
            /// Takes over what happened to objects of a kind; returns those that are others now.
            pub fn take(&mut self, which: Watched, news: super::store::News) -> Vec<Key> {
                match which {
                    $(Watched::$name => self.$field.take(news),)+
                }
            }

            /// How many objects of a kind are known.
            #[must_use]
            pub fn count(&self, which: Watched) -> usize {
                match which {
                    $(Watched::$name => self.$field.count(),)+
                }
            }

            /// Objects that cannot be read, with why, of every kind.
            pub fn broken(&self) -> impl Iterator<Item = (Watched, &Key, &str)> {
                let all = [$((Watched::$name, self.$field.broken()),)+];
                all.into_iter().flat_map(|(which, broken)| {
                    broken.iter().map(move |(key, why)| (which, key, why.as_str()))
                })
            }
        }
    };
}

kinds! {
    /// Services.
    services Services: Service = Kind::core("Service", "services").awaited();
    /// Endpoints of services.
    slices EndpointSlices: EndpointSlice =
        Kind::core("EndpointSlice", "endpointslices").group("discovery.k8s.io").awaited();
    /// Nodes.
    nodes Nodes: Node = Kind::core("Node", "nodes").awaited();
    /// Namespaces.
    namespaces Namespaces: Raw = Kind::core("Namespace", "namespaces");
    /// What Cilium was told at its installation.
    config CiliumConfig: ConfigMap =
        Kind::core("ConfigMap", "configmaps").scope(Scope::One("cilium-config")).awaited();
    /// Nodes as Cilium sees them.
    cilium_nodes CiliumNodes: Raw = Kind::cilium("CiliumNode", "ciliumnodes", &["v2"]);
    /// Who announces which services where.
    l2_policies L2Policies: L2Policy =
        Kind::cilium(l2_policy::KIND, "ciliuml2announcementpolicies", &[l2_policy::VERSION]);
    /// Pools of addresses.
    pools Pools: IpPool =
        Kind::cilium(pool::KIND, "ciliumloadbalancerippools", &pool::VERSIONS);
    /// Who does what, until when.
    leases Leases: Lease =
        Kind::core("Lease", "leases").group("coordination.k8s.io").scope(Scope::OurNamespace);
}

impl Store {
    /// What Cilium was told at its installation, in this namespace.
    #[must_use]
    pub fn cilium_config(&self, namespace: &str) -> Option<&ConfigMap> {
        let key = Key { namespace: namespace.to_owned(), name: "cilium-config".to_owned() };
        self.config.get(&key).map(|config| &**config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_what_a_role_lacks() {
        let want = r#"apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["get", "list", "watch"]"#;
        assert_eq!(Watched::EndpointSlices.kind().rule(), want);
        assert!(
            Watched::CiliumConfig.kind().rule().contains(r#"resourceNames: ["cilium-config"]"#)
        );
    }

    #[test]
    fn every_kind_has_a_version_and_a_name_of_its_own() {
        let plurals: std::collections::BTreeSet<_> =
            Watched::ALL.iter().map(|which| which.kind().plural).collect();
        assert_eq!(plurals.len(), Watched::ALL.len());
        assert!(Watched::ALL.iter().all(|which| !which.kind().versions.is_empty()));
        assert_eq!(Watched::Pools.kind().resource("v2").api_version, "cilium.io/v2");
        assert_eq!(Watched::Services.kind().resource("v1").api_version, "v1");
    }
}
