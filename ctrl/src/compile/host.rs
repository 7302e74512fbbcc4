use std::net::IpAddr;
use std::ops::RangeInclusive;

use dataplane::addr::{Addr, L4Port, Proto};

use super::Compiled;
use crate::desired::{Desired, PortSpan};
use crate::problem::Problem;

/// The range in which Kubernetes opens node ports, unless it was told otherwise.
pub const NODE_PORTS: RangeInclusive<L4Port> = 30_000..=32_767;

/// What the host gives, and what it uses itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// `net.ipv4.ip_local_port_range`; `None` when it cannot be read.
    pub local_ports: Option<PortSpan>,
    /// Sockets that wait for clients.
    pub listening: Vec<Listener>,
    /// Cores that this process may use; empty when that is not known.
    pub cores: Vec<usize>,
    /// Whether `gateway.api` is a directory, so that no socket can be there.
    pub api_is_directory: bool,
}

/// A socket that waits for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// TCP or UDP.
    pub proto: Proto,
    /// Its address; unspecified for all.
    pub addr: IpAddr,
    /// Its port, host order.
    pub port: L4Port,
}

/// What the configuration wants of the host and cannot have.
#[must_use]
pub fn host_conflicts(desired: &Desired, compiled: &Compiled, facts: &HostFacts) -> Vec<Problem> {
    let mut problems = shared_ports(desired, compiled, facts);
    problems.extend(cores(desired, facts));
    problems.extend(facts.api_is_directory.then(|| api(desired)));
    problems
}

fn api(desired: &Desired) -> Problem {
    let what = format!("gateway.api is {}, a directory", desired.gateway.api.display());
    Problem::error(None, what).help("write the path of a socket in it, for example with /api.sock")
}

/// A worker that is told to run on a core that it cannot have would run anywhere.
fn cores(desired: &Desired, facts: &HostFacts) -> Option<Problem> {
    let wanted = &desired.worker.cores;
    let missing: Vec<_> = wanted.iter().filter(|core| !facts.cores.contains(core)).collect();
    if missing.is_empty() || facts.cores.is_empty() {
        return None;
    }
    let list =
        |cores: &[&usize]| cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = format!("worker.cores names {}, which this process may not use", list(&missing));
    let help = format!("there are: {}", list(&Vec::from_iter(&facts.cores)));
    Some(Problem::error(wanted.place(), what).help(help))
}

/// Where the ports that we use of shared addresses meet those that the host uses: each would
/// take the other's replies.
fn shared_ports(desired: &Desired, compiled: &Compiled, facts: &HostFacts) -> Vec<Problem> {
    let shared: Vec<Addr> = compiled
        .tables
        .snat
        .iter()
        .filter(|(_, source)| source.shared)
        .map(|(_, source)| source.addr)
        .collect();
    if shared.is_empty() {
        return Vec::new();
    }
    let ours = &desired.snat.shared_ports;
    let range =
        |other: &PortSpan, what: &str| overlaps(&ours.value, other).then(|| what.to_owned());
    let ephemeral = facts.local_ports.as_ref().and_then(|local| {
        range(
            local,
            &format!(
                "the host's own ephemeral ports {} (net.ipv4.ip_local_port_range)",
                show(local)
            ),
        )
    });
    let node = range(&NODE_PORTS, &format!("the node ports {} of Kubernetes", show(&NODE_PORTS)));
    let sockets = facts
        .listening
        .iter()
        .filter(|listener| ours.value.contains(&listener.port))
        .filter(|listener| {
            listener.addr.is_unspecified() || shared.contains(&Addr::from(listener.addr))
        })
        .map(|l| {
            format!(
                "a listening {} socket on {}",
                l.proto,
                std::net::SocketAddr::new(l.addr, l.port)
            )
        });
    let list = shared.iter().map(Addr::to_string).collect::<Vec<_>>().join(", ");
    ephemeral
        .into_iter()
        .chain(node)
        .chain(sockets)
        .map(|other| {
            let what = format!(
                "snat.shared_ports {} overlap {other}, and Linux uses {list} too",
                show(&ours.value)
            );
            Problem::error(ours.place(), what).help(
                "choose shared_ports apart from it, or SNAT addresses that Linux does not own",
            )
        })
        .collect()
}

fn overlaps(a: &PortSpan, b: &PortSpan) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}

fn show(span: &PortSpan) -> String {
    format!("{}-{}", span.start(), span.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Located;

    #[test]
    fn cores_that_do_not_exist_are_named_beside_those_that_do() {
        let facts = HostFacts { cores: vec![0, 1], ..HostFacts::default() };
        let mut desired = Desired::default();
        assert_eq!(cores(&desired, &facts), None);
        desired.worker.cores = Located::nowhere(vec![1, 99]);
        let problem = cores(&desired, &facts).map(|problem| problem.to_string());
        let want = "error: worker.cores names 99, which this process may not use (there are: 0, 1)";
        assert_eq!(problem.as_deref(), Some(want));
    }
}
