use dataplane::addr::Addr;
use dataplane::tables::frontend::Mode;

use super::plan::PortPlan;
use super::routes::Lookup;
use crate::desired::Service;
use crate::problem::Problem;

/// In mode `dsr-l2` a packet is addressed to the VIP: only a MAC can bring it to its backend, so the
/// backend must be on the link of a port.
pub fn off_link(service: &Service, ports: &PortPlan, lookup: &Lookup) -> Vec<Problem> {
    let mut problems = Vec::new();
    if service.mode == Mode::DsrL2 {
        for backend in &service.backends {
            let address = &backend.address;
            let Some(route) = lookup.route(Addr::from(address.value)) else { continue };
            let (Some(port), Some(gateway)) = (route.port, route.gateway) else { continue };
            let what = format!(
                "backend {} of service `{}` is behind the router {gateway}, but mode `dsr-l2` reaches only what is on the link of a port ({})",
                address.value,
                service.name.value,
                ports.get(port).name
            );
            let help =
                "use mode `snat` or `nat`, or give this host an address in the backend's network";
            problems.push(Problem::error(address.place(), what).help(help));
        }
    }
    problems
}
