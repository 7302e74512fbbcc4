use std::collections::HashMap;

use dataplane::addr::Addr;
use dataplane::tables::PortMask;
use dataplane::tables::frontend::FrontendKey;

use super::linux::LinuxOwned;
use super::plan::{BackendPlan, FrontendPlan, PortPlan};
use super::snat::{self, Sources};
use super::{BackendKey, members, policy};
use crate::desired::{Announce, Desired, Service};
use crate::problem::Problem;

/// Frontends and backends of all services.
#[derive(Debug, Default)]
pub struct Services {
    pub frontends: Vec<FrontendPlan>,
    pub backends: HashMap<BackendKey, BackendPlan>,
    /// Their keys in the order of the source, so that ids do not depend on chance.
    pub order: Vec<BackendKey>,
}

/// One frontend for each (VIP, port) of each service.
pub fn plan(
    desired: &Desired,
    linux: &LinuxOwned<'_>,
    ports: &PortPlan,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Services {
    let mut services = Services::default();
    for (index, service) in desired.services.iter().enumerate() {
        vips_are_free(service, linux, problems);
        let announce = announce_mask(&service.announce, ports);
        for vip in &service.vips {
            let vip = Addr::from(vip.value);
            let source = snat::named(desired, service, vip.family());
            for port in &service.ports {
                let members = members::of_frontend(service, vip.family(), port);
                services.frontends.push(FrontendPlan {
                    key: FrontendKey { addr: vip, port: port.port.value, proto: port.proto },
                    service: index,
                    mode: service.mode,
                    snat: source.clone(),
                    table_size: members::table_size(desired, service, members.len()),
                    policy: policy::of_frontend(service, &members),
                    stateless_replies: service.policy.stateless_replies(),
                    members,
                    announce,
                });
            }
        }
    }
    services.find_backends(sources);
    services
}

/// We never answer for an address that Linux owns.
fn vips_are_free(service: &Service, linux: &LinuxOwned<'_>, problems: &mut Vec<Problem>) {
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

impl Services {
    fn find_backends(&mut self, sources: &Sources) {
        for (key, weight) in self.frontends.iter().flat_map(|frontend| &frontend.members) {
            let plan = self.backends.entry(*key).or_insert_with(|| {
                self.order.push(*key);
                BackendPlan { active: false, default_snat: sources.default_of.get(&key.0).copied() }
            });
            plan.active |= *weight > 0;
        }
    }
}
