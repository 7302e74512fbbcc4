use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::settings::Settings;
use super::terms::Terms;
use crate::kubernetes::api::metadata::Metadata;
use crate::kubernetes::api::selector::Labels;
use crate::kubernetes::api::service::{Service, ServiceSpec};

/// Addresses that a service asks for, by either spelling; the first one counts where both are.
const ADDRESSES: [&str; 2] = ["lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips"];
/// The key of those who may share an address.
const SHARING_KEY: [&str; 2] = ["lbipam.cilium.io/sharing-key", "io.cilium/lb-ipam-sharing-key"];
/// Namespaces with which it may be shared.
const SHARING_NAMESPACES: [&str; 2] =
    ["lbipam.cilium.io/sharing-cross-namespace", "io.cilium/lb-ipam-sharing-cross-namespace"];

/// Labels by which a pool can select a service by where it is.
const NAMESPACE_LABEL: &str = "io.kubernetes.service.namespace";
const NAME_LABEL: &str = "io.kubernetes.service.name";

/// What a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Exactly these, if there are any.
    pub addresses: Vec<IpAddr>,
    /// What was asked for and is no address.
    pub nonsense: Vec<String>,
    /// Else one address of each of these families.
    pub families: Families,
    /// With whom it shares.
    pub terms: Arc<Terms>,
    /// What pools select by.
    pub labels: Labels,
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4
    pub ipv4: bool,
    /// IPv6
    pub ipv6: bool,
}

impl Families {
    /// Whether the family of an address is among them.
    #[must_use]
    pub fn have(&self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

impl Request {
    /// Reads what a service asks for.
    #[must_use]
    pub fn read(service: &Service, settings: &Settings) -> Self {
        let (addresses, nonsense) = addresses(service);
        Self {
            addresses,
            nonsense,
            families: families(&service.spec, settings),
            terms: Arc::new(terms(service)),
            labels: labels(&service.metadata),
        }
    }
}

fn annotation<'a>(metadata: &'a Metadata, spellings: [&str; 2]) -> Option<&'a str> {
    spellings.iter().find_map(|key| metadata.annotations.get(*key)).map(String::as_str)
}

/// Neighbours that are equal count once.
fn addresses(service: &Service) -> (Vec<IpAddr>, Vec<String>) {
    let of_spec = Some(service.spec.load_balancer_ip.as_str());
    let of_annotation = annotation(&service.metadata, ADDRESSES);
    let listed = of_annotation.unwrap_or_default().split(',').map(str::trim);
    let (mut addresses, mut nonsense) = (Vec::new(), Vec::new());
    for text in of_spec.into_iter().chain(listed).filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => nonsense.push(text.to_owned()),
        }
    }
    addresses.dedup();
    (addresses, nonsense)
}

/// A single family is taken as asked for even if the cluster has it switched off; two are taken as
/// far as the cluster has them.
fn families(spec: &ServiceSpec, settings: &Settings) -> Families {
    let enabled = Families { ipv4: settings.ipv4, ipv6: settings.ipv6 };
    let listed = |family: &str| spec.ip_families.iter().any(|listed| listed == family);
    match spec.ip_family_policy.as_deref() {
        Some("RequireDualStack") => enabled,
        Some("PreferDualStack") if spec.ip_families.is_empty() => enabled,
        Some("PreferDualStack") => {
            Families { ipv4: enabled.ipv4 && listed("IPv4"), ipv6: enabled.ipv6 && listed("IPv6") }
        }
        None | Some("SingleStack") => match spec.ip_families.first().map(String::as_str) {
            Some("IPv4") => Families { ipv4: true, ipv6: false },
            Some(_) => Families { ipv4: false, ipv6: true },
            None => Families { ipv4: enabled.ipv4, ipv6: enabled.ipv6 && !enabled.ipv4 },
        },
        Some(_) => Families { ipv4: false, ipv6: false },
    }
}

/// Blanks in the list of namespaces are part of the names.
fn terms(service: &Service) -> Terms {
    let metadata = &service.metadata;
    let filled = |spellings| annotation(metadata, spellings).filter(|text| !text.is_empty());
    let namespaces = filled(SHARING_NAMESPACES).map(|list| list.split(',').map(str::to_owned));
    Terms {
        key: filled(SHARING_KEY).map(str::to_owned),
        namespace: metadata.namespace.clone(),
        namespaces: namespaces.into_iter().flatten().collect(),
        ports: service.spec.ports.clone(),
        traffic_policy: service.spec.external_traffic_policy.clone(),
        selector: service.spec.selector.clone(),
    }
}

fn labels(metadata: &Metadata) -> BTreeMap<String, String> {
    let mut labels = metadata.labels.clone();
    labels.insert(NAMESPACE_LABEL.to_owned(), metadata.namespace.clone());
    labels.insert(NAME_LABEL.to_owned(), metadata.name.clone());
    labels
}
