//! Ports that were deleted and made anew under the same name. The sockets and the program hang on the
//! old interface: nothing is received or sent there until a restart binds the new one.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Gateway;
use crate::compile;
use crate::desired::Desired;
use crate::topology::Topology;

impl Gateway {
    /// Says once what became of a port, and has the checks of backends behind it fail: the host's own
    /// stack, which they go through, still gets there.
    pub(super) fn look_at_ports(&mut self) {
        let topology = self.netlink.topology();
        let names: Vec<_> = topology.remade.iter().map(|link| link.name.clone()).collect();
        for port in names.iter().filter(|name| !self.remade.contains(name)) {
            tracing::error!(
                port,
                "the port was deleted and made anew: nothing is received or sent there until \
                 portreeve is restarted"
            );
        }
        if !names.is_empty() || !self.remade.is_empty() {
            self.standing.cut_off(behind_remade(&self.desired, topology));
        }
        self.remade = names;
    }
}

/// Backends whose way leads through a port that was made anew, with words for it.
fn behind_remade(desired: &Desired, topology: &Topology) -> HashMap<IpAddr, String> {
    let backends = desired.services.iter().flat_map(|service| &service.backends);
    let mut behind = HashMap::new();
    for address in backends.map(|backend| backend.address.value) {
        let route = compile::kernel_route(topology, address);
        if let Some(link) = route.and_then(|route| topology.remade(route.ifindex?)) {
            let why = format!("its port {} was made anew: restart portreeve", link.name);
            behind.insert(address, why);
        }
    }
    behind
}
