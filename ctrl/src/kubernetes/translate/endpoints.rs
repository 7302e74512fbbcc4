use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane::addr::L4Port;

use super::Complaints;
use super::facts::Facts;
use crate::kubernetes::api::endpoint_slice::{EndpointConditions, EndpointPort, EndpointSlice};
use crate::kubernetes::api::service::{Port, Service};

/// Weight of all endpoints of a slice, on the slice.
const WEIGHT: &str = "service.cilium.io/weight";
/// Cilium's.
const DEFAULT_WEIGHT: u16 = 100;
/// What old controllers write into a slice that shall not be empty.
const DUMMY: &str = "192.192.192.192";

/// Where packets of a port end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// Its address.
    pub address: IpAddr,
    /// Its port, host order.
    pub port: L4Port,
    /// Share of new flows; 0: none, but those that there are stay.
    pub weight: u16,
}

/// How an endpoint is; the better one counts where two slices name the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Not ready: its flows stay.
    Unready,
    /// It ends, but answers: used when there is nobody else.
    Ending,
    /// May be used.
    Ready,
}

impl State {
    /// `None` for one that is as good as gone.
    fn of(conditions: &EndpointConditions) -> Option<Self> {
        let (ready, serving) = (conditions.is_ready(), conditions.is_serving());
        match (ready, serving, conditions.is_terminating()) {
            (true, _, _) => Some(Self::Ready),
            (false, true, true) => Some(Self::Ending),
            (false, _, false) => Some(Self::Unready),
            (false, false, true) => None,
        }
    }
}

/// Where a port ends up at the pods themselves, in the order of addresses.
pub fn of(port: &Port, slices: &[&EndpointSlice], complaints: &mut Complaints<'_>) -> Vec<End> {
    let mut found: BTreeMap<(IpAddr, L4Port), (State, u16)> = BTreeMap::new();
    for slice in slices {
        let weight = weight(slice, complaints);
        for target in targets(slice, port, complaints) {
            for (address, state) in states(slice, complaints) {
                let held = found.entry((address, target)).or_insert((state, weight));
                *held = (*held).max((state, weight));
            }
        }
    }
    let mut ends = Vec::with_capacity(found.len());
    for v4 in [true, false] {
        let family = || found.iter().filter(move |((address, _), _)| address.is_ipv4() == v4);
        let active = family().any(|(_, (state, weight))| *state == State::Ready && *weight > 0);
        let least = if active { State::Ready } else { State::Ending };
        ends.extend(family().map(|(&(address, port), &(state, weight))| {
            let weight = if state >= least { weight } else { 0 };
            End { address, port, weight }
        }));
    }
    ends
}

/// Where a port ends up at the node ports: nodes that have an endpoint where only those pass packets on,
/// else all.
pub fn nodes(
    service: &Service,
    port: &Port,
    slices: &[&EndpointSlice],
    facts: &Facts,
    complaints: &mut Complaints<'_>,
) -> Vec<End> {
    let Some(target) = L4Port::try_from(port.node_port).ok().filter(|port| *port != 0) else {
        let what = format!(
            "port {} is not served: it has no node port, and pods are not reached otherwise",
            port.port
        );
        complaints.add("NoNodePort", what);
        return Vec::new();
    };
    let local = service.spec.external_traffic_policy == "Local";
    let ready = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().filter(|endpoint| endpoint.conditions.is_ready()));
    let homes: Vec<_> = ready.map(|endpoint| endpoint.node_name.as_deref()).collect();
    let open = |node: &str| !homes.is_empty() && (!local || homes.contains(&Some(node)));
    let entrances = facts.nodes.iter().filter(|entrance| open(&entrance.node));
    let end = |address| End { address, port: target, weight: DEFAULT_WEIGHT };
    let mut ends: Vec<_> =
        entrances.flat_map(|entrance| entrance.addresses.iter().copied().map(end)).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The ports at which the endpoints of a slice serve a port of the service.
fn targets(slice: &EndpointSlice, port: &Port, complaints: &mut Complaints<'_>) -> Vec<L4Port> {
    let serves = |target: &&EndpointPort| {
        let protocol = target.protocol.as_deref().unwrap_or("TCP");
        target.name == port.name && protocol == port.protocol
    };
    let mut targets = Vec::new();
    for target in slice.ports.iter().filter(serves) {
        let number = target.port.and_then(|number| L4Port::try_from(number).ok());
        match number.filter(|number| *number != 0) {
            Some(number) => targets.push(number),
            None => {
                let (name, written) = (&slice.metadata.name, target.port.unwrap_or_default());
                let what = format!("EndpointSlice {name} names {written}, no port; it is left out");
                complaints.add("PortInvalid", what);
            }
        }
    }
    targets
}

/// The endpoints of a slice that are not as good as gone.
fn states(slice: &EndpointSlice, complaints: &mut Complaints<'_>) -> Vec<(IpAddr, State)> {
    let mut found = Vec::with_capacity(slice.endpoints.len());
    for endpoint in &slice.endpoints {
        let Some(state) = State::of(&endpoint.conditions) else { continue };
        // By Kubernetes' own rule all of them lead to the same place.
        let Some(text) = endpoint.addresses.first() else { continue };
        match text.parse() {
            _ if text == DUMMY => {}
            Ok(address) => found.push((address, state)),
            Err(_) => {
                let name = &slice.metadata.name;
                let what = format!("EndpointSlice {name} names \"{text}\", which is no address");
                complaints.add("AddressInvalid", what);
            }
        }
    }
    found
}

fn weight(slice: &EndpointSlice, complaints: &mut Complaints<'_>) -> u16 {
    let Some(text) = slice.metadata.annotations.get(WEIGHT) else { return DEFAULT_WEIGHT };
    if let Ok(weight) = text.trim().parse() {
        return weight;
    }
    let name = &slice.metadata.name;
    let what = format!(
        "EndpointSlice {name} has the weight \"{text}\", not 0 to 65535; {DEFAULT_WEIGHT} is used"
    );
    complaints.add("WeightInvalid", what);
    DEFAULT_WEIGHT
}
