use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::Mac;
use proptest::prelude::*;

use super::world::{BACKENDS, backend, host, service};
use crate::desired::{Announce, Desired, Located, Service, TableSize};
use crate::topology::{Neighbour, Topology};

/// Something that happens to the wishes, to the host, or to neither. Numbers are taken modulo
/// what there is.
#[derive(Debug, Clone)]
pub enum Edit {
    Nothing,
    Wait {
        seconds: u64,
    },
    Add {
        service: usize,
        backend: usize,
        weight: u16,
    },
    Remove {
        service: usize,
        backend: usize,
    },
    Weight {
        service: usize,
        backend: usize,
        weight: u16,
    },
    Size {
        service: usize,
        size: u32,
    },
    /// Two services at once, which exchange their backends.
    Exchange {
        service: usize,
        other: usize,
    },
    Rename {
        service: usize,
    },
    Announce {
        service: usize,
    },
    /// The service names its sources, or no more.
    Sources {
        service: usize,
    },
    AddService {
        backend: usize,
    },
    RemoveService {
        service: usize,
    },
    Mtu {
        link: usize,
    },
    Down {
        link: usize,
    },
    Neighbour {
        backend: usize,
    },
    /// A route goes or comes back.
    Route {
        subnet: usize,
    },
    Forget,
}

/// Any of them; those that can be amended are more frequent.
pub fn edits() -> impl Strategy<Value = Edit> {
    let any_service = || 0_usize..8;
    let any_backend = || 0..BACKENDS.len();
    let weight = || prop_oneof![Just(0_u16), Just(100), 1_u16..4];
    let sizes = prop_oneof![Just(0_u32), Just(251), Just(509)];
    prop_oneof![
        1 => Just(Edit::Nothing),
        4 => prop_oneof![1_u64..40, 50_u64..70, 3_000_u64..8_000]
            .prop_map(|seconds| Edit::Wait { seconds }),
        12 => (any_service(), any_backend(), weight())
            .prop_map(|(service, backend, weight)| Edit::Add { service, backend, weight }),
        12 => (any_service(), any_backend())
            .prop_map(|(service, backend)| Edit::Remove { service, backend }),
        4 => (any_service(), any_backend(), weight())
            .prop_map(|(service, backend, weight)| Edit::Weight { service, backend, weight }),
        2 => (any_service(), sizes).prop_map(|(service, size)| Edit::Size { service, size }),
        3 => (any_service(), any_service())
            .prop_map(|(service, other)| Edit::Exchange { service, other }),
        1 => any_service().prop_map(|service| Edit::Rename { service }),
        1 => any_service().prop_map(|service| Edit::Announce { service }),
        1 => any_service().prop_map(|service| Edit::Sources { service }),
        1 => any_backend().prop_map(|backend| Edit::AddService { backend }),
        1 => any_service().prop_map(|service| Edit::RemoveService { service }),
        1 => (0_usize..2).prop_map(|link| Edit::Mtu { link }),
        1 => (0_usize..2).prop_map(|link| Edit::Down { link }),
        4 => any_backend().prop_map(|backend| Edit::Neighbour { backend }),
        1 => (0_usize..7).prop_map(|subnet| Edit::Route { subnet }),
        1 => Just(Edit::Forget),
    ]
}

/// Replaces one service by a changed one; all others stay the same `Arc`.
fn change(desired: &mut Desired, index: usize, edit: impl FnOnce(&mut Service)) {
    let count = desired.services.len();
    if count > 0 {
        edit(Arc::make_mut(&mut desired.services[index % count]));
    }
}

impl Edit {
    pub fn apply(&self, desired: &mut Desired, host: &mut Topology, now: &mut Duration) {
        match *self {
            Self::Nothing | Self::Forget => {}
            Self::Wait { seconds } => *now += Duration::from_secs(seconds),
            Self::Exchange { service, other } => exchange(desired, service, other),
            Self::AddService { backend } => add_service(desired, backend),
            Self::RemoveService { service } => {
                let count = desired.services.len();
                drop((count > 0).then(|| desired.services.remove(service % count)));
            }
            Self::Mtu { link } => host.links[link].mtu ^= 0x100,
            Self::Down { link } => host.links[link].up ^= true,
            Self::Neighbour { backend } => neighbour(host, backend),
            Self::Route { subnet } => route(host, subnet),
            _ => self.apply_to_service(desired),
        }
    }

    fn apply_to_service(&self, desired: &mut Desired) {
        match *self {
            Self::Add { service, backend: index, weight } => change(desired, service, |service| {
                let new = backend(index, weight);
                if service.backends.iter().all(|held| held.address != new.address) {
                    service.backends.push(new);
                }
            }),
            Self::Remove { service, backend } => change(desired, service, |service| {
                let count = service.backends.len();
                drop((count > 0).then(|| service.backends.remove(backend % count)));
            }),
            Self::Weight { service, backend, weight } => change(desired, service, |service| {
                let count = service.backends.len().max(1);
                let held = service.backends.get_mut(backend % count);
                held.into_iter().for_each(|held| held.weight = weight);
            }),
            Self::Size { service, size } => change(desired, service, |service| {
                let fixed = || Located::nowhere(TableSize::Fixed(size));
                service.table_size = (size > 0).then(fixed);
            }),
            Self::Rename { service } => change(desired, service, |service| {
                service.name.value = format!("{}'", service.name.value).into();
            }),
            Self::Announce { service } => change(desired, service, |service| {
                let lan = Announce::Ports(vec![Located::nowhere("lan".into())]);
                service.announce = if service.announce == lan { Announce::None } else { lan };
            }),
            Self::Sources { service } => change(desired, service, |service| {
                let named = ["10.8.0.2", "fd00:1::1"];
                if service.snat_addresses.is_empty() {
                    let addrs = named.map(|addr| Located::nowhere(addr.parse().unwrap()));
                    service.snat_addresses = addrs.into();
                } else {
                    service.snat_addresses.clear();
                }
            }),
            _ => unreachable!("{self:?}"),
        }
    }
}

/// A (VIP, port) belongs to one service.
fn add_service(desired: &mut Desired, backend: usize) {
    let new = |n| service("more", &[format!("10.9.1.{n}").as_str()], &[backend]);
    let free = |new: &Service| desired.services.iter().all(|held| held.vips != new.vips);
    if let Some(new) = (0..9).map(new).find(free) {
        desired.services.push(Arc::new(new));
    }
}

fn exchange(desired: &mut Desired, service: usize, other: usize) {
    let count = desired.services.len().max(1);
    let backends = |index: usize| desired.services.get(index % count).map(|s| s.backends.clone());
    let (Some(of_one), Some(of_other)) = (backends(service), backends(other)) else { return };
    change(desired, service, |service| service.backends = of_other);
    change(desired, other, |service| service.backends = of_one);
}

/// The kernel learns a neighbour, or forgets it.
fn neighbour(host: &mut Topology, backend: usize) {
    let addr = BACKENDS[backend].parse().unwrap();
    let count = host.neighbours.len();
    host.neighbours.retain(|known| known.addr != addr);
    if host.neighbours.len() == count {
        let mac = Some(Mac([2, 1, 0, 0, 0, backend as u8]));
        host.neighbours.push(Neighbour { ifindex: 3, addr, mac });
    }
}

fn route(topology: &mut Topology, subnet: usize) {
    let route = host().routes.swap_remove(subnet);
    let count = topology.routes.len();
    topology.routes.retain(|held| *held != route);
    if topology.routes.len() == count {
        topology.routes.push(route);
    }
}
