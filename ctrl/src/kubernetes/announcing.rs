//! Announcing by leases: which of what policies select is announced now. The elections run elsewhere
//! (`leading`); here it is said in which of them we stand and whether we are willing, and until when
//! each address may be announced.

/// What policies say of each service, for people.
mod choice;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::addr::Addr;
use dataplane::tables::{Deadline, Deadlines};
use dataplane::time::BootTime;

use super::api::condition::Condition;
use super::api::metadata::Key;
use super::l2::{Announcements, Group, WhyNot, router_lease};
use super::leading::{Candidacy, Leases};
use crate::desired::{self, Announce, Located};

pub use choice::Choice;

/// What control knows of this host, and the cluster's source has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// Names of our ports.
    pub ports: Vec<String>,
    /// Router addresses.
    pub routers: BTreeSet<IpAddr>,
    /// A worker makes no progress: somebody else shall lead.
    pub stalled: bool,
    /// We are about to end.
    pub leaving: bool,
}

/// What is announced, as far as leases let it be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// Until when each address with a lease may be announced.
    pub deadlines: Arc<Deadlines>,
    /// The leases that we would have, by name.
    pub leases: Vec<LeaseState>,
    /// What policies say of each service that is served.
    pub choices: Arc<BTreeMap<Key, Choice>>,
    /// The router addresses that all this was found out for.
    pub routers: BTreeSet<IpAddr>,
}

impl Announced {
    /// Before the cluster has been heard of: whether a lease goes with a router address is not known, and
    /// another gateway may hold it.
    #[must_use]
    pub fn unheard(here: &Here) -> Self {
        let never = Deadline::new(BootTime::default());
        let routers = here.routers.iter().map(|router| (Addr::from(*router), never.clone()));
        Self { deadlines: Arc::new(routers.collect()), ..Self::default() }
    }
}

/// How it stands with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Its name.
    pub lease: String,
    /// Addresses that its holder announces.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether we lead.
    pub leads: bool,
    /// Who holds it, as far as is known; it may have run out.
    pub holder: Option<String>,
    /// Whether it is somebody else's, and has not run out.
    pub taken: bool,
    /// Until when we lead.
    pub deadline: Deadline,
    /// Why the API server will not let us write it.
    pub refused: Option<String>,
    /// Why we do not want it now.
    pub unwilling: Option<String>,
}

/// The elections in which we stand.
#[derive(Debug)]
pub struct Announcing {
    /// `None` where nobody leads anything.
    leases: Option<Leases>,
    here: Arc<Here>,
    found: Announcements,
    choices: Arc<BTreeMap<Key, Choice>>,
    /// By lease.
    groups: BTreeMap<String, Standing>,
    /// By router address.
    routers: BTreeMap<IpAddr, Candidacy>,
    /// Leases that groups had before: while somebody else holds one, its addresses are his.
    former: Vec<Standing>,
    /// Addresses of announced services that no policy means.
    never: Deadline,
    /// Elections may be others than those that we have entered.
    unentered: bool,
    /// Addresses may be others than in `last`.
    readdressed: bool,
    /// Which services follow a router address was known for `last`.
    known: bool,
    last: Arc<Announced>,
}

/// One of them.
#[derive(Debug)]
struct Standing {
    candidacy: Candidacy,
    addresses: BTreeSet<IpAddr>,
    /// Why we do not want it.
    unwilling: Option<String>,
}

impl Default for Announcing {
    fn default() -> Self {
        Self {
            leases: None,
            here: Arc::default(),
            found: Announcements::default(),
            choices: Arc::default(),
            groups: BTreeMap::new(),
            routers: BTreeMap::new(),
            former: Vec::new(),
            never: Deadline::new(BootTime::default()),
            unentered: true,
            readdressed: true,
            known: false,
            last: Arc::default(),
        }
    }
}

impl Announcing {
    /// From now on with these leases.
    pub fn lead_by(&mut self, leases: Leases) {
        self.leases = Some(leases);
        self.unentered = true;
    }

    /// This host.
    #[must_use]
    pub const fn here(&self) -> &Arc<Here> {
        &self.here
    }

    /// Takes over what control says of this host.
    pub fn move_to(&mut self, here: Arc<Here>) {
        self.here = here;
        self.readdressed = true;
    }

    /// Takes over who may announce what; says whether that is news.
    pub fn follow(&mut self, found: Announcements) -> bool {
        let news = self.found != found;
        if news {
            self.choices = Arc::new(choice::choices(&found));
            self.found = found;
            self.unentered = true;
            self.readdressed = true;
        }
        news
    }

    /// Addresses of services, or where they are announced, are others now.
    pub const fn readdress(&mut self) {
        self.readdressed = true;
    }

    /// Conditions of policies that are not as they should be, by name of the policy.
    #[must_use]
    pub const fn verdicts(&self) -> &BTreeMap<String, Vec<Condition>> {
        &self.found.conditions
    }

    /// Where a service is announced while we lead.
    #[must_use]
    pub fn announce(&self, service: &Key) -> Announce {
        let Some(Ok(places)) = self.found.services.get(service) else { return Announce::None };
        let ports: BTreeSet<_> = places.values().flatten().collect();
        Announce::Ports(ports.into_iter().cloned().map(Located::nowhere).collect())
    }

    /// Services that policies do not have announced by us, with why. Nothing is said of a cluster
    /// without policies: there, addresses are routed.
    pub fn missed(&self) -> impl Iterator<Item = (&Key, &WhyNot)> {
        self.found.services.iter().filter_map(|(key, verdict)| match verdict {
            Err(why @ WhyNot::Missed(_)) => Some((key, why)),
            _ => None,
        })
    }

    /// Enters and leaves elections, and says in each whether we are willing.
    pub fn stand(&mut self) {
        let Some(leases) = self.leases.clone() else { return };
        let unentered = std::mem::take(&mut self.unentered);
        if unentered {
            self.leave();
        }
        self.forget_former();
        if unentered {
            self.enter(&leases);
            self.readdressed = true;
        }
        self.say_willing();
    }

    fn enter(&mut self, leases: &Leases) {
        for (lease, group) in self.found.groups.iter().filter(|(_, group)| is_here(group)) {
            let addresses = group.places.keys().copied().collect();
            match self.groups.get_mut(lease) {
                Some(standing) => standing.addresses = addresses,
                None => {
                    // One of a name: the former would never hear again.
                    self.former.retain(|former| former.candidacy.lease() != lease);
                    let candidacy = leases.candidacy(lease);
                    let standing = Standing { candidacy, addresses, unwilling: None };
                    self.groups.insert(lease.clone(), standing);
                }
            }
        }
        self.stand_for_routers(leases);
    }

    /// Leaves the elections of groups that are no more.
    fn leave(&mut self) {
        let groups = std::mem::take(&mut self.groups);
        let still = |lease: &String| self.found.groups.get(lease).is_some_and(is_here);
        let (stay, go): (BTreeMap<_, _>, BTreeMap<_, _>) =
            groups.into_iter().partition(|(lease, _)| still(lease));
        self.groups = stay;
        self.former.extend(go.into_values());
    }

    /// A lease that was left and whose addresses another group has now is watched until nobody else holds
    /// it.
    fn forget_former(&mut self) {
        if self.former.is_empty() {
            return;
        }
        let wanted: BTreeSet<_> =
            self.found.groups.values().flat_map(|group| group.places.keys()).collect();
        self.former.retain_mut(|former| {
            former.candidacy.willing(false);
            let matters = former.addresses.iter().any(|addr| wanted.contains(addr));
            matters && former.candidacy.standing().taken
        });
    }

    /// The lease of a router address is for groups that follow it; without any, it is announced for
    /// good, as the file says.
    fn stand_for_routers(&mut self, leases: &Leases) {
        let here = self.found.groups.values().filter(|group| is_here(group));
        let followed: BTreeSet<_> = here.flat_map(|group| group.follows.iter().copied()).collect();
        self.routers.retain(|router, _| followed.contains(router));
        for router in followed {
            self.routers.entry(router).or_insert_with(|| leases.candidacy(&router_lease(router)));
        }
    }

    fn say_willing(&mut self) {
        let able = self.unable().is_none();
        for candidacy in self.routers.values_mut() {
            candidacy.willing(able);
        }
        let mut groups = std::mem::take(&mut self.groups);
        for (lease, standing) in &mut groups {
            let Some(group) = self.found.groups.get(lease) else { continue };
            standing.unwilling = self.in_the_way(group, &standing.addresses);
            standing.candidacy.willing(standing.unwilling.is_none());
        }
        self.groups = groups;
    }

    /// Why we want no lease at all.
    fn unable(&self) -> Option<&'static str> {
        let Here { stalled, leaving, .. } = *self.here;
        let stalled = stalled.then_some("a worker of this gateway makes no progress");
        stalled.or_else(|| leaving.then_some("this gateway is about to end"))
    }

    /// Why we do not want the lease of a group.
    fn in_the_way(&self, group: &Group, addresses: &BTreeSet<IpAddr>) -> Option<String> {
        if let Some(why) = self.unable() {
            return Some(why.to_owned());
        }
        if let Some(service) = group.out_of_reach.first() {
            return Some(format!(
                "externalTrafficPolicy of {service} is Local, and no endpoint of it is reached from here"
            ));
        }
        let leads = |router| self.routers.get(router).is_some_and(Candidacy::leads);
        if let Some(router) = group.follows.iter().find(|router| !leads(router)) {
            return Some(format!("this gateway does not lead the router address {router}"));
        }
        let mut others = self.former.iter().filter(|former| former.candidacy.standing().taken);
        let other = others.find(|former| !former.addresses.is_disjoint(addresses));
        let words = |other: &Standing| {
            format!("another gateway still holds the lease {}", other.candidacy.lease())
        };
        other
            .map(words)
            .or_else(|| (!group.may_lead()).then(|| "no port of this gateway is meant".to_owned()))
    }

    /// Until when the addresses of these services may be announced, and how it stands with leases. The
    /// same as before when nothing is another. Router addresses are silent until it is `known` which
    /// services follow them.
    pub fn announced<'s>(
        &mut self,
        services: impl Iterator<Item = &'s Arc<desired::Service>>,
        known: bool,
    ) -> Arc<Announced> {
        // What was known once stays so while the API server is away.
        let known = known || self.known;
        self.readdressed |= self.known != known;
        self.known = known;
        let deadlines = match std::mem::take(&mut self.readdressed) {
            true => Arc::new(self.deadlines(services)),
            false => Arc::clone(&self.last.deadlines),
        };
        let next = Announced {
            deadlines,
            leases: self.states(),
            choices: Arc::clone(&self.choices),
            routers: self.here.routers.clone(),
        };
        if *self.last != next {
            self.last = Arc::new(next);
        }
        Arc::clone(&self.last)
    }

    fn deadlines<'s>(
        &self,
        services: impl Iterator<Item = &'s Arc<desired::Service>>,
    ) -> Deadlines {
        let announced = services.filter(|service| service.announce != Announce::None);
        let vips = announced.flat_map(|service| service.vips.iter().map(|vip| vip.value));
        let mut deadlines: BTreeMap<IpAddr, Deadline> =
            vips.map(|vip| (vip, self.never.clone())).collect();
        // Whoever leads a router address may be another gateway, also where no group that follows it is here.
        let followed = self.found.groups.values().flat_map(|group| &group.follows);
        deadlines.extend(followed.map(|router| (*router, self.never.clone())));
        let unknown = self.here.routers.iter().filter(|_| !self.known);
        deadlines.extend(unknown.map(|router| (*router, self.never.clone())));
        for Standing { candidacy, addresses, .. } in self.groups.values() {
            let deadline = candidacy.deadline();
            deadlines.extend(addresses.iter().map(|addr| (*addr, deadline.clone())));
        }
        let routers = self.routers.iter();
        deadlines.extend(routers.map(|(router, led)| (*router, led.deadline().clone())));
        deadlines.into_iter().map(|(addr, deadline)| (Addr::from(addr), deadline)).collect()
    }

    fn states(&self) -> Vec<LeaseState> {
        let groups = self.groups.values();
        let groups = groups.map(|group| LeaseState {
            unwilling: group.unwilling.clone(),
            ..state(&group.candidacy, group.addresses.clone())
        });
        let routers = self.routers.iter();
        let routers = routers.map(|(router, led)| state(led, BTreeSet::from([*router])));
        groups.chain(routers).collect()
    }
}

fn state(candidacy: &Candidacy, addresses: BTreeSet<IpAddr>) -> LeaseState {
    let standing = candidacy.standing();
    LeaseState {
        lease: candidacy.lease().to_owned(),
        addresses,
        leads: standing.leads,
        holder: standing.holder,
        taken: standing.taken,
        deadline: candidacy.deadline().clone(),
        refused: standing.refused,
        unwilling: None,
    }
}

/// Whether some policy has a group announced by our node.
fn is_here(group: &Group) -> bool {
    group.places.values().any(|ports| !ports.is_empty())
}
