use dataplane::addr::{Addr, Family};
use dataplane::tables::maglev::auto_size;

use super::BackendKey;
use crate::desired::{Desired, Service, ServicePort, TableSize};

/// Backends of one frontend with their weights, sorted, drained ones included.
pub type Members = Vec<(BackendKey, u16)>;

/// The members of a frontend: the service's backends of the VIP's family, sorted, so that the
/// order of the source does not matter.
#[must_use]
pub fn of_frontend(service: &Service, family: Family, port: &ServicePort) -> Members {
    let mut members: Members = service
        .backends
        .iter()
        .map(|backend| {
            let addr = Addr::from(backend.address.value);
            ((addr, backend.port.unwrap_or(port.target), port.proto), backend.weight)
        })
        .filter(|((addr, ..), _)| addr.family() == family)
        .collect();
    members.sort_unstable();
    members.dedup_by_key(|(key, _)| *key);
    members
}

/// The members of the frontend of `vip`; all of them drained while the VIP is.
#[must_use]
pub fn of_vip(desired: &Desired, service: &Service, vip: Addr, port: &ServicePort) -> Members {
    let mut members = of_frontend(service, vip.family(), port);
    if desired.apart.get(&vip).is_some_and(|state| !state.open) {
        members.iter_mut().for_each(|(_, weight)| *weight = 0);
    }
    members
}

/// The members of every frontend of a service.
pub fn of_service(service: &Service) -> impl Iterator<Item = Members> {
    let families = service.vips.iter().map(|vip| Addr::from(vip.value).family());
    families.flat_map(move |family| {
        service.ports.iter().map(move |port| of_frontend(service, family, port))
    })
}

/// Slots of the Maglev table. Drained backends count: draining one must not move the flows of
/// the others by a size step.
#[must_use]
pub fn table_size(desired: &Desired, service: &Service, backends: usize) -> u32 {
    let wanted = service.table_size.as_ref().unwrap_or(&desired.maglev.table_size);
    match wanted.value {
        TableSize::Auto => auto_size(backends),
        TableSize::Fixed(size) => size,
    }
}
