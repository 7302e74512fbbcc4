use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::{Places, Service, Standing, merge};
use crate::kubernetes::api::metadata::Key;

/// Services that share addresses, directly or by way of others: they have one leader, and one lease.
/// Which services are in a group follows from services and policies alone: all gateways agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its services, the oldest first.
    pub services: Vec<Key>,
    /// All of its addresses, and on which ports we announce each if we lead.
    pub places: Places,
    /// Router addresses on whose holder it depends: nobody else may lead.
    pub follows: BTreeSet<IpAddr>,
    /// Services with `externalTrafficPolicy: Local` of which no ready endpoint is reached from here:
    /// with any of them we must not lead.
    pub out_of_reach: Vec<Key>,
}

impl Group {
    /// Whether we may lead it, as far as services and policies say: some address is announced by us, and
    /// whoever comes for it is served here.
    #[must_use]
    pub fn may_lead(&self) -> bool {
        self.out_of_reach.is_empty() && self.places.values().any(|ports| !ports.is_empty())
    }

    fn join(&mut self, other: Self) {
        self.services.extend(other.services);
        merge(&mut self.places, other.places);
        self.follows.extend(other.follows);
        self.out_of_reach.extend(other.out_of_reach);
    }

    fn of(service: &Service, standing: &Standing) -> Self {
        let anywhere = standing.anywhere.iter().map(|addr| (*addr, BTreeSet::new()));
        let mut places: Places = anywhere.collect();
        merge(&mut places, standing.here.clone());
        let out_of_reach = service.local_path == Some(false);
        Self {
            services: vec![service.key.clone()],
            places,
            follows: service.routers.clone(),
            out_of_reach: out_of_reach.then(|| service.key.clone()).into_iter().collect(),
        }
    }
}

/// The groups of what somebody may announce, by name of their leases. The names are Cilium's; where two
/// services have one name for their leases there, they have one lease here, too.
pub fn groups(members: &[(&Service, Standing)]) -> BTreeMap<String, Group> {
    let mut members: Vec<_> =
        members.iter().filter(|(_, standing)| !standing.anywhere.is_empty()).collect();
    members.sort_by_key(|(service, _)| (&service.created, &service.key));
    let oldest = oldest_by_member(&members);
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for ((service, standing), oldest) in members.iter().zip(oldest) {
        groups.entry(oldest).or_default().join(Group::of(service, standing));
    }
    let mut by_lease: BTreeMap<String, Group> = BTreeMap::new();
    for group in groups.into_values() {
        let Key { namespace, name } = &group.services[0];
        let lease = format!("cilium-l2announce-{namespace}-{name}");
        by_lease.entry(lease).or_default().join(group);
    }
    by_lease
}

/// For each member, in order of age, the oldest one that it is connected with by shared addresses.
fn oldest_by_member(members: &[&(&Service, Standing)]) -> Vec<usize> {
    let mut older: Vec<usize> = (0..members.len()).collect();
    let mut first: HashMap<IpAddr, usize> = HashMap::new();
    for (at, (_, standing)) in members.iter().enumerate() {
        for addr in &standing.anywhere {
            let other = *first.entry(*addr).or_insert(at);
            let (a, b) = (oldest(&older, at), oldest(&older, other));
            older[a.max(b)] = a.min(b);
        }
    }
    (0..members.len()).map(|at| oldest(&older, at)).collect()
}

/// The end of the way from member to older member.
fn oldest(older: &[usize], mut at: usize) -> usize {
    while older[at] != at {
        at = older[at];
    }
    at
}

/// Name of the lease of a router address.
#[must_use]
pub fn router_lease(address: IpAddr) -> String {
    let mut name = format!("portreeve-router-{address}").replace(':', "-");
    if name.ends_with('-') {
        // `fd00::`: names end with a letter or a digit.
        name.push('0');
    }
    name
}
