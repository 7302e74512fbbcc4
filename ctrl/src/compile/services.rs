use dataplane::addr::Addr;
use dataplane::tables::PortMask;
use dataplane::tables::frontend::FrontendKey;

use super::linux::LinuxOwned;
use super::plan::{FrontendPlan, PortPlan};
use super::{members, policy, snat};
use crate::desired::{Announce, Desired, Service};
use crate::problem::Problem;

/// One frontend for each (VIP, port) of a service of `desired`.
pub fn frontends(desired: &Desired, service: &Service, ports: &PortPlan) -> Vec<FrontendPlan> {
    let announce = announce_mask(&service.announce, ports);
    let mut frontends = Vec::with_capacity(service.vips.len() * service.ports.len());
    for vip in &service.vips {
        let vip = Addr::from(vip.value);
        let snat = snat::named(desired, service, vip.family());
        for port in &service.ports {
            let members = members::of_vip(desired, service, vip, port);
            frontends.push(FrontendPlan {
                key: FrontendKey { addr: vip, port: port.port.value, proto: port.proto },
                mode: service.mode,
                snat: snat.clone(),
                table_size: members::table_size(desired, service, members.len()),
                policy: policy::of_frontend(service, &members),
                stateless_replies: service.policy.stateless_replies(),
                members,
                announce,
            });
        }
    }
    frontends
}

/// We never answer for an address that Linux owns.
pub fn vips_are_free(service: &Service, linux: &LinuxOwned<'_>, problems: &mut Vec<Problem>) {
    for vip in &service.vips {
        if let Some(link) = linux.interface(vip.value) {
            let what = format!(
                "VIP {} of service `{}` is an address of this host (on {link}): two would answer for it",
                vip.value, service.name.value
            );
            let help = format!(
                "remove it with `ip address del {}/... dev {link}`, or choose another VIP",
                vip.value
            );
            problems.push(Problem::error(vip.place(), what).help(help));
        }
    }
}

/// The ports on which something is announced.
pub fn announce_mask(announce: &Announce, ports: &PortPlan) -> PortMask {
    match announce {
        Announce::All => ports.all(),
        Announce::None => PortMask::NONE,
        // `validate` has refused names that are no port.
        Announce::Ports(names) => {
            names.iter().filter_map(|name| ports.by_name(name)).fold(PortMask::NONE, PortMask::with)
        }
    }
}
