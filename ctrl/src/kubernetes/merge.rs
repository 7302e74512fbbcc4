//! What the cluster wants beside what the file says. Each service of the cluster is judged for itself:
//! one that cannot be is left out with a complaint, and nothing else changes. What the file says comes
//! first, then the older object.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::addr::{L4Port, Proto};

use super::snapshot::{ClusterService, Complaint, MaglevHints, Snapshot};
use crate::compile::{HostBasis, MOST, OnHost};
use crate::desired::{Desired, Located, MaglevSettings, PortSettings, Service, TableSize};
use crate::problem::Problem;
use crate::validate::validate_alone;

/// The same once more with a few services that are others.
mod again;

/// Puts both together again and again, and judges a service that did not change once.
#[derive(Debug, Default)]
pub struct Merger {
    /// By the service, which is held so that its address stays its own.
    judged: HashMap<*const Service, Judged>,
    /// What a judgement hangs on besides the service.
    basis: (MaglevSettings, Vec<PortSettings>),
    /// When nothing was left out.
    last: Option<Last>,
}

/// What was put together last.
#[derive(Debug)]
struct Last {
    file: Desired,
    host: HostBasis,
    hints: MaglevHints,
    taken: Taken,
    merged: Merged,
}

#[derive(Debug)]
struct Judged {
    service: Arc<Service>,
    wrong: Option<String>,
}

/// Both put together.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// To be compiled; the services of the file come first.
    pub desired: Desired,
    /// The services of the cluster that are among them, in their order.
    pub taken: Arc<[Arc<ClusterService>]>,
    /// Why others are not.
    pub complaints: Vec<Complaint>,
}

/// Who has what already.
#[derive(Debug, Default)]
struct Taken {
    names: HashSet<Arc<str>>,
    frontends: HashMap<(IpAddr, L4Port, Proto), Arc<str>>,
    vips: HashMap<IpAddr, Arc<str>>,
    backends: HashMap<IpAddr, Arc<str>>,
    /// Source and router addresses, with what they are.
    own: HashMap<IpAddr, &'static str>,
}

impl Merger {
    /// What `file` says with what `snapshot` wants on this host.
    pub fn merge(&mut self, file: &Desired, snapshot: &Snapshot, host: &OnHost<'_>) -> Merged {
        match self.again(file, snapshot, host) {
            Some(merged) => merged,
            None => self.merge_all(file, snapshot, host),
        }
    }

    fn merge_all(&mut self, file: &Desired, snapshot: &Snapshot, host: &OnHost<'_>) -> Merged {
        let mut desired = file.clone();
        take_hints(&mut desired, snapshot);
        let basis = (desired.maglev.clone(), desired.ports.clone());
        if self.basis != basis {
            self.judged.clear();
            self.basis = basis;
        }
        let mut taken = Taken::of(file);
        let (mut wishes, mut complaints) = (Vec::new(), Vec::new());
        let mut judged = HashMap::with_capacity(snapshot.services.len());
        for wish in &*snapshot.services {
            let wrong = self.judge(&wish.service, &desired, &mut judged);
            let wrong = wrong.or_else(|| host.refuses(&wish.service).first().map(words));
            let wrong = wrong.map(|wrong| ("ServiceInvalid", wrong));
            match wrong.or_else(|| taken.conflict(&wish.service)) {
                None => {
                    taken.add(&wish.service);
                    desired.services.push(Arc::clone(&wish.service));
                    wishes.push(Arc::clone(wish));
                }
                Some((reason, why)) => complaints.push(complaint(wish, reason, why)),
            }
        }
        self.judged = judged;
        let merged = Merged { desired, taken: wishes.into(), complaints };
        self.last = merged.complaints.is_empty().then(|| Last {
            file: file.clone(),
            host: host.basis(),
            hints: snapshot.maglev,
            taken,
            merged: merged.clone(),
        });
        merged
    }

    /// What is wrong with a service by itself.
    fn judge(
        &mut self,
        service: &Arc<Service>,
        desired: &Desired,
        judged: &mut HashMap<*const Service, Judged>,
    ) -> Option<String> {
        let key = Arc::as_ptr(service);
        let held = self.judged.remove(&key).unwrap_or_else(|| {
            let problems = validate_alone(service, desired);
            let wrong = problems.iter().find(|problem| problem.is_error()).map(words);
            Judged { service: Arc::clone(service), wrong }
        });
        debug_assert!(Arc::ptr_eq(&held.service, service), "held, so that its address is its own");
        let wrong = held.wrong.clone();
        judged.insert(key, held);
        wrong
    }
}

/// A complaint about a service that is left out.
fn complaint(wish: &ClusterService, reason: &'static str, why: String) -> Complaint {
    let (object, uid) = (wish.object.clone(), wish.uid.clone());
    let message = format!("{} is not served: {why}", wish.service.name.value);
    Complaint { kind: "Service", object, uid, reason, message }
}

fn words(problem: &Problem) -> String {
    problem.what.clone()
}

/// What Cilium was told holds where the file does not say otherwise.
fn take_hints(desired: &mut Desired, snapshot: &Snapshot) {
    let maglev = &mut desired.maglev;
    if let Some(size) = snapshot.maglev.table_size.filter(|_| maglev.table_size.place.is_none()) {
        maglev.table_size = Located::nowhere(TableSize::Fixed(size));
    }
    if let Some(seeds) = snapshot.maglev.seeds.filter(|_| maglev.seeds.place.is_none()) {
        maglev.seeds = Located::nowhere(seeds);
    }
}

impl Taken {
    fn of(file: &Desired) -> Self {
        let mut taken = Self::default();
        let sources = file.snat.addresses.iter();
        let of_services = file.services.iter().flat_map(|service| &service.snat_addresses);
        for addr in sources.chain(of_services) {
            taken.own.insert(addr.value, "a source address of this gateway");
        }
        for router in &file.routers {
            taken.own.insert(router.address.value, "a router address of this gateway");
        }
        for service in &file.services {
            taken.add(service);
        }
        taken
    }

    fn add(&mut self, service: &Service) {
        let name = &service.name.value;
        self.names.insert(Arc::clone(name));
        for key in frontends(service) {
            self.frontends.insert(key, Arc::clone(name));
        }
        for vip in &service.vips {
            self.vips.insert(vip.value, Arc::clone(name));
        }
        for backend in &service.backends {
            self.backends.insert(backend.address.value, Arc::clone(name));
        }
    }

    /// Why a service cannot be beside those that are there.
    fn conflict(&self, service: &Service) -> Option<(&'static str, String)> {
        if self.names.contains(&service.name.value) {
            return Some(("NameInUse", "another service has its name".to_owned()));
        }
        if self.frontends.len() + service.vips.len() * service.ports.len() > MOST {
            return Some(("TooManyServices", format!("a gateway holds {MOST} (VIP, port) pairs")));
        }
        let taken = frontends(service).find_map(|key| Some((key, self.frontends.get(&key)?)));
        if let Some(((vip, port, proto), owner)) = taken {
            return Some(("AddressInUse", format!("{vip} port {port}/{proto} belongs to {owner}")));
        }
        for vip in service.vips.iter().map(|vip| vip.value) {
            if let Some(owner) = self.backends.get(&vip) {
                return Some(("AddressInUse", format!("its VIP {vip} is a backend of {owner}")));
            }
            if let Some(what) = self.own.get(&vip).filter(|what| what.contains("router")) {
                return Some(("AddressInUse", format!("its VIP {vip} is {what}")));
            }
        }
        self.misdirected(service)
    }

    /// Which backend of a service cannot be one.
    fn misdirected(&self, service: &Service) -> Option<(&'static str, String)> {
        for backend in service.backends.iter().map(|backend| backend.address.value) {
            if let Some(owner) = self.vips.get(&backend) {
                let why = format!("its backend {backend} is a VIP of {owner}");
                return Some(("BackendInvalid", why));
            }
            if let Some(what) = self.own.get(&backend) {
                return Some(("BackendInvalid", format!("its backend {backend} is {what}")));
            }
        }
        let own = service.vips.iter().map(|vip| vip.value);
        let own = own.filter(|vip| service.backends.iter().any(|b| b.address.value == *vip));
        own.map(|vip| ("BackendInvalid", format!("its VIP {vip} is a backend of its own"))).next()
    }
}

/// Every (VIP, port, protocol) of a service.
fn frontends(service: &Service) -> impl Iterator<Item = (IpAddr, L4Port, Proto)> + '_ {
    service
        .vips
        .iter()
        .flat_map(|vip| service.ports.iter().map(|port| (vip.value, port.port.value, port.proto)))
}

#[cfg(test)]
mod tests;
