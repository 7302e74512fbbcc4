use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dataplane::tables::frontend::Mode;

use crate::kubernetes::announcing::Announcing;
use crate::kubernetes::api::metadata::{Key, Timestamp};
use crate::kubernetes::api::selector::Labels;
use crate::kubernetes::api::service;
use crate::kubernetes::kinds::Store;
use crate::kubernetes::l2::{self, Announcements, World};
use crate::kubernetes::translate::Translated;

/// Who may announce which of the services that we serve, as seen from our node.
pub fn announcements(
    node: &str,
    store: &Store,
    translated: &BTreeMap<Key, (Timestamp, Translated)>,
    announcing: &Announcing,
) -> Announcements {
    let here = announcing.here();
    let policies: Vec<_> = store.l2_policies.iter().map(|(_, policy)| (**policy).clone()).collect();
    let services: Vec<_> = translated
        .iter()
        .filter(|(_, (_, translated))| !translated.services.is_empty())
        .filter_map(|(key, (_, translated))| {
            let object = store.services.get(key)?;
            Some(candidate(object, translated, &here.routers))
        })
        .collect();
    let ports: Vec<_> = here.ports.iter().map(String::as_str).collect();
    let labels = labels(node, store);
    l2::announcements(&World {
        services: &services,
        policies: &policies,
        node: &labels,
        ports: &ports,
    })
}

/// The labels of our CiliumNode; of our Node where there is none.
fn labels(node: &str, store: &Store) -> Labels {
    let key = Key { namespace: String::new(), name: node.to_owned() };
    let cilium = store.cilium_nodes.get(&key).map(|node| node.metadata.labels.clone());
    let plain = || store.nodes.get(&key).map(|node| node.metadata.labels.clone());
    cilium.or_else(plain).unwrap_or_default()
}

fn candidate(
    object: &service::Service,
    translated: &Translated,
    routers: &BTreeSet<IpAddr>,
) -> l2::Service {
    let parts = &translated.services;
    let vips: BTreeSet<_> =
        parts.iter().flat_map(|part| part.vips.iter().map(|vip| vip.value)).collect();
    let served = |text: &str| text.parse().ok().filter(|addr| vips.contains(addr));
    let given = object.status.load_balancer.ingress.iter();
    let local = object.spec.external_traffic_policy == "Local";
    let nat = parts.iter().any(|part| matches!(part.mode, Mode::Nat));
    l2::Service {
        key: object.metadata.key(),
        created: object.metadata.creation_timestamp.clone(),
        labels: object.metadata.labels.clone(),
        class: object.spec.load_balancer_class.clone(),
        load_balancer_ips: given.filter_map(|ingress| served(&ingress.ip)).collect(),
        external_ips: object.spec.external_ips.iter().filter_map(|text| served(text)).collect(),
        // Without weight an endpoint gets nothing new.
        local_path: local.then(|| {
            parts.iter().any(|part| part.backends.iter().any(|backend| backend.weight > 0))
        }),
        routers: if nat { routers.clone() } else { BTreeSet::new() },
    }
}
