//! Pools for people: what they have, and which service has which address.

use std::net::IpAddr;
use std::sync::Arc;

use super::api::condition;
use super::api::metadata::Key;
use super::api::pool::{CONFLICT, IpPool, TOTAL, USED};
use super::api::service::Service;
use super::ipam::spans;
use super::kinds::Store;

/// A pool, as its object and those of services show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// Its name.
    pub name: String,
    /// Whether its owner keeps it from giving out addresses.
    pub disabled: bool,
    /// `True`, `False`, or empty before anything was said.
    pub conflicting: String,
    /// With which pool, in words.
    pub conflict: String,
    /// How many addresses it has; empty before anything was said, as the next two.
    pub total: String,
    /// How many of them are free.
    pub available: String,
    /// How many of them are not.
    pub used: String,
    /// Who has which, by address.
    pub holders: Vec<(IpAddr, Key)>,
}

/// All pools, by name. Who has an address is what the services say, whoever gave it.
#[must_use]
pub fn pools(store: &Store) -> Arc<[PoolState]> {
    let mut given: Vec<(IpAddr, &Key)> = Vec::new();
    if store.pools.iter().next().is_some() {
        let services = store.services.iter();
        given = services
            .flat_map(|(key, service)| addresses(service).map(move |ip| (ip, key)))
            .collect();
    }
    given.sort_unstable();
    store.pools.iter().map(|(_, pool)| state(pool, &given)).collect()
}

fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let ingress = service.status.load_balancer.ingress.iter();
    ingress.filter_map(|ingress| ingress.ip.parse().ok())
}

fn state(pool: &IpPool, given: &[(IpAddr, &Key)]) -> PoolState {
    let conditions = &pool.status.conditions;
    let message = |kind| condition::find(conditions, kind).map(|found| found.message.clone());
    let columns = pool.columns();
    let spans = spans(pool);
    let held = given.iter().filter(|(ip, _)| spans.iter().any(|span| span.contains(*ip)));
    PoolState {
        name: pool.metadata.name.clone(),
        disabled: columns.disabled,
        conflicting: columns.conflicting,
        conflict: message(CONFLICT).unwrap_or_default(),
        total: message(TOTAL).unwrap_or_default(),
        available: columns.available,
        used: message(USED).unwrap_or_default(),
        holders: held.map(|(ip, key)| (*ip, (*key).clone())).collect(),
    }
}
