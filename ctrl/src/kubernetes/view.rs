//! What is known of the cluster, and what it comes to: each service is translated anew when its own
//! objects change, and only then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::announcing::{Announcing, Here};
use super::api::condition::Condition;
use super::api::metadata::{Key, Timestamp};
use super::election::Timing;
use super::health_ports::Endpoints;
use super::kinds::{Store, Watched};
use super::leading::{Leases, timing};
use super::pools::pools;
use super::snapshot::{Allocator, Complaint, Snapshot};
use super::store::News;
use super::translate::{Facts, Translated, translate};
use super::watch::{Standing, Told};
use crate::desired::kubernetes::KubernetesSettings;
use order::Order;
use settle::announcements;

/// Services in the order of a snapshot.
mod order;
/// Who may announce what.
mod settle;
/// What conditions on objects say is wrong.
mod conditions;

/// Complaints that are kept: whoever has more of them does not read the rest.
const COMPLAINTS_MAX: usize = 1_000;

/// Objects, and what they were translated to.
#[derive(Debug)]
pub struct View {
    settings: KubernetesSettings,
    node: String,
    store: Store,
    standings: BTreeMap<Watched, Standing>,
    /// Kinds of which a whole list was read.
    listed: BTreeSet<Watched>,
    slices: Slices,
    facts: Facts,
    timing: Timing,
    /// Complaints about what the facts are made of.
    about_facts: Vec<Complaint>,
    /// By service, with its age.
    translated: BTreeMap<Key, (Timestamp, Translated)>,
    order: Order,
    dirty: BTreeSet<Key>,
    /// Who gives addresses.
    allocator: Allocator,
    /// Complaints about addresses.
    about_addresses: Vec<Complaint>,
    /// Complaints about ports that we should answer at.
    about_health_ports: Vec<Complaint>,
    /// Complaints that conditions on objects say already.
    about_conditions: Vec<Complaint>,
    /// Pools, who has their addresses, or what conditions say may be others than in `last`.
    pools_touched: bool,
    announcing: Announcing,
    /// Who may announce what has to be found out anew.
    unsettled: bool,
    /// Complaints may be others than in `last`.
    complained: bool,
    /// Whether those of services were among them.
    whole: bool,
    last: Snapshot,
    /// Something but services may be another than in `last`.
    touched: bool,
}

/// Which slices belong to which service.
#[derive(Debug, Default)]
struct Slices {
    by_service: BTreeMap<Key, BTreeSet<Key>>,
    service_of: BTreeMap<Key, Key>,
}

impl View {
    /// Nothing is known yet. `node` is our own.
    #[must_use]
    pub fn new(settings: KubernetesSettings, node: String) -> Self {
        let asked = Watched::ALL.iter().map(|which| (*which, Standing::Asked)).collect();
        let facts = Facts::new(&settings, &node, &Store::default()).0;
        let timing = timing(&settings, None).0;
        Self {
            settings,
            node,
            store: Store::default(),
            standings: asked,
            listed: BTreeSet::new(),
            slices: Slices::default(),
            facts,
            timing,
            about_facts: Vec::new(),
            translated: BTreeMap::new(),
            order: Order::default(),
            dirty: BTreeSet::new(),
            allocator: Allocator::default(),
            about_addresses: Vec::new(),
            about_health_ports: Vec::new(),
            about_conditions: Vec::new(),
            pools_touched: false,
            announcing: Announcing::default(),
            unsettled: true,
            complained: true,
            whole: false,
            last: Snapshot::default(),
            touched: true,
        }
    }

    /// From now on what policies say is announced by these leases.
    pub fn lead_by(&mut self, leases: Leases) {
        self.announcing.lead_by(leases);
    }

    /// What is to be written on policies.
    pub const fn verdicts(&self) -> &BTreeMap<String, Vec<Condition>> {
        self.announcing.verdicts()
    }

    /// Takes over what control says of this host.
    pub fn move_to(&mut self, here: Arc<Here>) {
        self.announcing.move_to(here);
        self.unsettled = true;
    }

    /// Takes over what was told; returns the objects that are others now.
    pub fn take(&mut self, which: Watched, told: Told) -> Vec<Key> {
        match told {
            Told::Standing(standing) => {
                self.say(which, &standing);
                if standing == Standing::Watched {
                    self.listed.insert(which);
                }
                self.standings.insert(which, standing);
                self.touched = true;
                Vec::new()
            }
            Told::News(news) => {
                if matches!(news, News::All(..)) {
                    self.listed.insert(which);
                }
                let broken = self.store.broken().next().is_some();
                let keys = self.store.take(which, news);
                // Why one cannot be read may be another reason now.
                if (broken || self.store.broken().next().is_some()) && !keys.is_empty() {
                    self.touched = true;
                    self.complained = true;
                }
                self.touch(which, &keys);
                keys
            }
        }
    }

    /// Everything that is known.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Whether a whole list of a kind was read.
    #[must_use]
    pub fn has_listed(&self, which: Watched) -> bool {
        self.listed.contains(&which)
    }

    /// Takes over how it stands with the giving of addresses.
    pub fn about_addresses(&mut self, allocator: Allocator, complaints: Vec<Complaint>) {
        if (self.allocator, &self.about_addresses) != (allocator, &complaints) {
            (self.allocator, self.about_addresses) = (allocator, complaints);
            self.touched = true;
            self.complained = true;
            self.pools_touched = true;
        }
    }

    /// Where it is asked whether a service has endpoints behind us, and what is to be said there.
    #[must_use]
    pub fn health_ports(&self) -> BTreeMap<u16, Endpoints> {
        let services = self.store.services.iter();
        let asked = services.filter(|(_, service)| service.spec.health_check_node_port != 0);
        let answer = |(key, _): (&Key, _)| {
            let (_, translated) = self.translated.get(key)?;
            Some(Endpoints::of(key, translated))
        };
        asked
            .filter_map(|found| {
                let port = u16::try_from(found.1.spec.health_check_node_port).ok()?;
                Some((port, answer(found)?))
            })
            .collect()
    }

    /// Takes over what is wrong with those ports; says whether that is news.
    pub fn about_health_ports(&mut self, complaints: Vec<Complaint>) -> bool {
        let news = self.about_health_ports != complaints;
        self.about_health_ports = complaints;
        self.touched |= news;
        self.complained |= news;
        news
    }

    fn touch(&mut self, which: Watched, keys: &[Key]) {
        let speak = [Watched::Services, Watched::Pools, Watched::L2Policies];
        self.pools_touched |= speak.contains(&which) && !keys.is_empty();
        let settles =
            [Watched::Services, Watched::Nodes, Watched::CiliumNodes, Watched::L2Policies];
        self.unsettled |= settles.contains(&which) && !keys.is_empty();
        match which {
            Watched::Services => self.dirty.extend(keys.iter().cloned()),
            Watched::EndpointSlices => {
                for key in keys.iter().cloned() {
                    let slice = self.store.slices.get(&key);
                    let owner = slice.and_then(|slice| {
                        let name = slice.service()?.to_owned();
                        Some(Key { namespace: key.namespace.clone(), name })
                    });
                    self.dirty.extend(self.slices.assign(key, owner));
                }
            }
            Watched::Nodes | Watched::CiliumConfig if !keys.is_empty() => self.renew_facts(),
            _ => {}
        }
    }

    /// All services hang on the facts, which hardly ever change: a node that reports each minute that it
    /// is well is no news.
    fn renew_facts(&mut self) {
        let (facts, mut complaints) = Facts::new(&self.settings, &self.node, &self.store);
        let config = self.store.cilium_config(&self.settings.namespace);
        let (timing, of_leases) = timing(&self.settings, config);
        self.timing = timing;
        complaints.extend(of_leases);
        if self.about_facts != complaints {
            self.about_facts = complaints;
            self.touched = true;
            self.complained = true;
        }
        if facts != self.facts {
            self.facts = facts;
            self.touched = true;
            self.dirty.extend(self.store.services.iter().map(|(key, _)| key.clone()));
        }
    }

    /// What the cluster wants now; `None` when nothing is different from the last time.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        let whole = self.is_whole();
        let moved = whole && self.translate();
        self.look_at_pools();
        let moved = whole && self.settle() || moved;
        let services = self.translated.values().flat_map(|(_, translated)| &translated.services);
        // That a kind is absent is believed at the third look, not at the first.
        let mut asked = [Watched::L2Policies, Watched::CiliumNodes].into_iter();
        let known = whole && asked.all(|which| self.has_listed(which));
        let announced = self.announcing.announced(services, known);
        self.touched |= !Arc::ptr_eq(&announced, &self.last.announced);
        if !moved && !std::mem::take(&mut self.touched) {
            return None;
        }
        self.touched = false;
        let services = if moved { self.order.all() } else { Arc::clone(&self.last.services) };
        self.complained |= self.whole != whole;
        self.whole = whole;
        let complaints = match std::mem::take(&mut self.complained) {
            true => self.complaints(),
            false => Arc::clone(&self.last.complaints),
        };
        self.last = Snapshot {
            services,
            maglev: self.facts.maglev,
            routes: Arc::clone(&self.facts.routes),
            pools: Arc::clone(&self.last.pools),
            allocator: self.allocator,
            announced,
            complaints,
            standings: self.standings.clone(),
            heard: None,
            unusable: None,
        };
        Some(self.last.clone())
    }

    /// Who has which address of a pool hangs on services that are not served, too.
    fn look_at_pools(&mut self) {
        if std::mem::take(&mut self.pools_touched) {
            let pools = pools(&self.store);
            self.touched |= pools != self.last.pools;
            self.last.pools = pools;
            let said = conditions::complaints(&self.store, self.allocator);
            if said != self.about_conditions {
                self.about_conditions = said;
                self.touched = true;
                self.complained = true;
            }
        }
    }

    /// How long leases last; `None` before that is known.
    #[must_use]
    pub fn timing(&self) -> Option<Timing> {
        self.is_known(Watched::CiliumConfig).then_some(self.timing)
    }

    /// Whether all is known that services are made of. A service whose endpoints have not been read yet is
    /// not one without endpoints.
    fn is_whole(&self) -> bool {
        let mut awaited = Watched::ALL.iter().filter(|which| which.kind().awaited);
        awaited.all(|which| self.is_known(*which))
    }

    /// Whether a kind is known, or known to be kept from us where we can do without.
    #[must_use]
    pub fn is_known(&self, which: Watched) -> bool {
        match self.standings.get(&which) {
            _ if self.listed.contains(&which) => true,
            Some(Standing::Absent | Standing::Forbidden(_)) => {
                !matches!(which, Watched::Services | Watched::EndpointSlices)
            }
            _ => false,
        }
    }

    /// Translates what is not up to date; says whether it comes to anything else.
    fn translate(&mut self) -> bool {
        let mut moved = false;
        for key in std::mem::take(&mut self.dirty) {
            let Some(service) = self.store.services.get(&key) else {
                if let Some((age, before)) = self.translated.remove(&key) {
                    self.order.remove(&key, &age);
                    self.complained |= !before.complaints.is_empty();
                    self.announcing.readdress();
                    moved = true;
                }
                continue;
            };
            let slices = self.slices.of(&key).filter_map(|key| self.store.slices.get(key));
            let slices: Vec<_> = slices.map(|slice| &**slice).collect();
            let mut next = translate(service, &slices, &self.facts);
            let local = service.spec.external_traffic_policy == "Local";
            next.announce(&self.announcing.announce(&key));
            let age = service.metadata.creation_timestamp.clone();
            if let Some((_, before)) = self.translated.get(&key) {
                next.keep(before);
            }
            // Whether an endpoint is reached decides who may lead.
            self.unsettled |= local || !self.translated.contains_key(&key);
            moved |= self.put(key, age, next);
        }
        moved
    }

    /// Takes over what a service comes to; says whether that is news.
    fn put(&mut self, key: Key, age: Timestamp, next: Translated) -> bool {
        let before = self.translated.get(&key);
        if before.is_some_and(|(was, before)| (was, before) == (&age, &next)) {
            return false;
        }
        let none = Translated::default();
        let held = before.map_or(&none, |(_, held)| held);
        // A complaint about a service bears its uid.
        self.complained |= (&held.complaints, &held.uid) != (&next.complaints, &next.uid);
        if !held.has_addresses_of(&next) {
            self.announcing.readdress();
        }
        if let Some((was, _)) = before.filter(|(was, _)| *was != age) {
            self.order.remove(&key, was);
        }
        self.order.put(&key, &age, &next);
        self.translated.insert(key, (age, next));
        true
    }

    /// Stands in the elections that policies say, and says where services are announced; whether any of
    /// them is announced elsewhere than before.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        if std::mem::take(&mut self.unsettled) {
            let found = announcements(&self.node, &self.store, &self.translated, &self.announcing);
            if self.announcing.follow(found) {
                self.touched = true;
                self.complained = true;
                for (key, (age, translated)) in &mut self.translated {
                    if translated.announce(&self.announcing.announce(key)) {
                        self.order.put(key, age, translated);
                        moved = true;
                    }
                }
            }
        }
        self.announcing.stand();
        moved
    }

    fn complaints(&self) -> Arc<[Complaint]> {
        let broken = self.store.broken().map(|(which, object, why)| Complaint {
            kind: which.kind().kind,
            object: object.clone(),
            uid: String::new(),
            reason: "Unreadable",
            message: format!("the object is left out, or stays as it was read last: {why}"),
        });
        let translated = self.translated.values().flat_map(|(_, found)| found.complaints.iter());
        let translated = translated.filter(|_| self.whole).cloned();
        let ours = self.about_facts.iter().chain(&self.about_addresses);
        let ours = ours.chain(&self.about_health_ports).chain(&self.about_conditions).cloned();
        let missed = self.announcing.missed().map(|(object, why)| Complaint {
            kind: "Service",
            object: object.clone(),
            uid: self.translated.get(object).map(|(_, of)| of.uid.clone()).unwrap_or_default(),
            reason: "NotAnnounced",
            message: format!("{object} is not announced: {why}"),
        });
        let all = broken.chain(ours).chain(translated).chain(missed);
        all.take(COMPLAINTS_MAX).collect()
    }

    /// Says what keeps us from a kind when it begins and when it ends.
    fn say(&self, which: Watched, standing: &Standing) {
        let kind = which.kind().plural;
        match standing {
            Standing::Forbidden(rule) => {
                tracing::warn!("the API server keeps {kind} from us; our role needs: {rule}");
            }
            Standing::Failed(why) => {
                tracing::warn!("{kind} cannot be watched, what is known of them stays: {why}");
            }
            Standing::Absent => {
                tracing::info!("the cluster has no {kind} yet; they are waited for")
            }
            Standing::Watched => tracing::info!("{kind} are watched"),
            Standing::Asked => {}
        }
    }
}

impl Slices {
    /// The slices of a service.
    fn of(&self, service: &Key) -> impl Iterator<Item = &Key> {
        self.by_service.get(service).into_iter().flatten()
    }

    /// From now on a slice belongs to `owner`, or to nobody. Returns the services that this touches.
    fn assign(&mut self, slice: Key, owner: Option<Key>) -> Vec<Key> {
        let before = match &owner {
            Some(owner) => self.service_of.insert(slice.clone(), owner.clone()),
            None => self.service_of.remove(&slice),
        };
        if let Some(before) = before.as_ref().filter(|before| Some(*before) != owner.as_ref())
            && let Some(held) = self.by_service.get_mut(before)
        {
            held.remove(&slice);
            if held.is_empty() {
                self.by_service.remove(before);
            }
        }
        if let Some(owner) = &owner {
            self.by_service.entry(owner.clone()).or_default().insert(slice);
        }
        before.into_iter().chain(owner).collect()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod properties;
