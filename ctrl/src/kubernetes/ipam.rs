//! Gives addresses of pools to services of type `LoadBalancer` as the operator of Cilium v1.20.2
//! does; what we do on purpose otherwise is in `docs/lb-ipam.md`.
//!
//! Pure: objects in, what to write on them out. Nothing here knows an API server or a clock, and
//! the same objects in any order give the same result. What services have is on their objects, so
//! that a new `Ipam` goes on where another one stopped.

/// What holds for the whole cluster.
mod settings;
/// Numbers of addresses.
mod count;
/// Addresses from one to another.
mod span;
/// Which addresses are free, and which comes next.
mod free;
/// A range of a pool.
mod range;
/// A pool.
mod pool;
/// With whom a service shares an address.
mod terms;
/// What a service asks for.
mod request;
/// A service.
mod view;
/// Who has which address.
mod ledger;
/// Pools that overlap.
mod conflict;
/// What a service may keep.
mod keep;
/// What a service is given.
mod satisfy;
/// Pools that come, change and go.
mod pools;
/// Services that come, change and go.
mod services;
/// What is wrong with an object.
mod complaint;

use std::collections::{BTreeMap, BTreeSet};

use super::api::condition::Condition;
use super::api::metadata::Key;
use super::api::pool::IpPool;
use super::api::service::{Ingress, Service};
use ledger::Ledger;
use services::Views;
use span::{BlockError, Ends, Span};

pub use complaint::Complaint;
pub use settings::{DefaultIpam, Settings, UnknownIpam};
pub use view::SATISFIED;

/// Who has which address of which pool.
#[derive(Debug)]
pub struct Ipam {
    settings: Settings,
    ledger: Ledger,
    views: Views,
    /// New pools that cannot be used, and why.
    refused: BTreeMap<String, (IpPool, BlockError)>,
    /// Without a pool nothing is done to any service. Becoming awake is a start.
    awake: bool,
    /// A change of a pool could not be used; what it did all the same counts from the next change
    /// on.
    half_done: bool,
}

/// Objects that came or changed, and names of objects that are gone.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Pools that came or changed.
    pub pools: Vec<IpPool>,
    /// Services that came or changed.
    pub services: Vec<Service>,
    /// Pools that are gone, by name.
    pub gone_pools: Vec<String>,
    /// Services that are gone.
    pub gone_services: Vec<Key>,
}

/// What to write. Whoever writes it tries again until it is on the object, or the object is gone,
/// or something newer is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// On services.
    pub services: BTreeMap<Key, ServiceWrite>,
    /// On pools, by name: all conditions that are ours, in order.
    pub pools: BTreeMap<String, Vec<Condition>>,
}

/// What to write on a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceWrite {
    /// Of the object that it is for.
    pub uid: String,
    /// The whole list.
    pub ingress: Vec<Ingress>,
    /// Of type [`SATISFIED`]; `None` to remove it.
    pub condition: Option<Condition>,
}

/// The addresses of a pool, as far as its blocks make sense.
pub(super) fn spans(pool: &IpPool) -> Vec<Span> {
    let span = |block| Ends::parse(block).and_then(|ends| ends.span()).ok();
    pool.spec.blocks.iter().filter_map(span).collect()
}

impl Ipam {
    /// Starts with all objects that there are.
    #[must_use]
    pub fn start(settings: Settings, pools: Vec<IpPool>, services: Vec<Service>) -> (Self, Writes) {
        let mut ipam = Self {
            settings,
            ledger: Ledger::default(),
            views: Views::default(),
            refused: BTreeMap::new(),
            awake: false,
            half_done: false,
        };
        let writes = ipam.change(Changes { pools, services, ..Changes::default() });
        (ipam, writes)
    }

    /// Takes over changes. They are made in an order of their own: what is gone first, then pools,
    /// then services, each by age.
    pub fn change(&mut self, mut changes: Changes) -> Writes {
        changes.pools.sort_by(|a, b| a.metadata.seniority().cmp(&b.metadata.seniority()));
        changes.services.sort_by(|a, b| a.metadata.seniority().cmp(&b.metadata.seniority()));
        let mut writes = Writes::default();
        self.remove_services(&changes.gone_services);
        let mut done = !changes.gone_services.is_empty();
        done |= self.remove_pools(&changes.gone_pools);
        if !self.awake {
            // Whoever is seen before the first pool is part of the start.
            let services = std::mem::take(&mut changes.services);
            services.into_iter().for_each(|service| self.note_service(&service));
        }
        done |= self.set_pools(changes.pools);
        done |= self.wake();
        self.serve_waiting(done);
        let some = !changes.services.is_empty();
        for service in changes.services {
            self.set_service(&service, &mut writes);
        }
        self.serve_waiting(false);
        if done || some {
            self.ledger.pools.iter_mut().for_each(pool::Pool::say_counts);
        }
        self.collect(&mut writes);
        self.ledger.news |= std::mem::take(&mut self.half_done);
        self.sleep_without_pools();
        writes
    }

    /// Takes over a new list of all objects: what is not on it is gone.
    pub fn relist(&mut self, pools: Vec<IpPool>, services: Vec<Service>) -> Writes {
        let known = self.ledger.pools.iter().map(|pool| pool.name().to_owned());
        let known = known.chain(self.refused.keys().cloned());
        let listed = |name: &String| pools.iter().any(|pool| pool.metadata.name == *name);
        let gone_pools = known.filter(|name| !listed(name)).collect();
        let listed: BTreeSet<Key> = services.iter().map(|service| service.metadata.key()).collect();
        let gone_services =
            self.views.keys().filter(|key| !listed.contains(key)).cloned().collect();
        self.change(Changes { pools, services, gone_pools, gone_services })
    }

    /// What is wrong with objects, beyond what their conditions say: pools first, then services.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        let refused = self.refused.values().map(|(pool, error)| Complaint::refused(pool, error));
        let of_pools = self.ledger.pools.iter().flat_map(Complaint::of_pool);
        refused.chain(of_pools).chain(self.views.all().flat_map(Complaint::of_view)).collect()
    }

    /// What is to be written because it is not on the objects.
    fn collect(&mut self, writes: &mut Writes) {
        self.views.collect(writes);
        for pool in &mut self.ledger.pools {
            if pool.shown != pool.conditions {
                pool.shown.clone_from(&pool.conditions);
                writes.pools.insert(pool.name().to_owned(), pool.conditions.clone());
            }
        }
    }
}
