use dataplane::addr::Addr;
use dataplane::tables::PortMask;

use super::linux::LinuxOwned;
use super::plan::PortPlan;
use super::services::announce_mask;
use crate::desired::Desired;
use crate::problem::Problem;

/// Router addresses with the ports on which they are announced.
pub fn plan(
    desired: &Desired,
    linux: &LinuxOwned<'_>,
    ports: &PortPlan,
    problems: &mut Vec<Problem>,
) -> Vec<(Addr, PortMask)> {
    let mut routers = Vec::with_capacity(desired.routers.len());
    for router in &desired.routers {
        let address = &router.address;
        if let Some(link) = linux.interface(address.value) {
            let what = format!(
                "router address {} is an address of this host (on {link}): two would answer for it",
                address.value
            );
            let help = "backends can use an address of the host as their router without this section: remove it, or choose another address";
            problems.push(Problem::error(address.place(), what).help(help));
        }
        routers.push((Addr::from(address.value), announce_mask(&router.announce, ports)));
    }
    routers
}
