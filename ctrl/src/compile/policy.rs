use dataplane::addr::Addr;
use dataplane::tables::frontend::Mode;
use dataplane::tables::{Policy, Prefixes, Sources};
use ipnet::IpNet;

use super::members::Members;
use crate::desired::{Affinity, Located, Service};

/// What a frontend with these members does besides balancing.
pub fn of_frontend(service: &Service, members: &Members) -> Policy {
    let wanted = &service.policy;
    let plain =
        |list: &[Located<IpNet>]| -> Vec<IpNet> { list.iter().map(|net| net.value).collect() };
    // Both families together: a list that allows prefixes of one allows nobody of the other.
    let sources = Sources::new(&plain(&wanted.allow), &plain(&wanted.deny));
    Policy {
        by_client: wanted.affinity == Affinity::Client,
        mss: wanted.mss.as_ref().map(|mss| mss.value),
        sources: sources.map(Box::new),
        hairpin: hairpin(service.mode, plain(&wanted.hairpin), members),
    }
}

/// A backend in mode `dsr-l2` has the VIP itself, and would not take answers that come from it.
fn hairpin(mode: Mode, wanted: Vec<IpNet>, members: &Members) -> Prefixes<()> {
    let backends = members.iter().map(|((addr, ..), _)| host(*addr));
    let backends = backends.filter(|_| mode == Mode::DsrL2);
    let wanted = wanted.into_iter().filter(|_| mode != Mode::Snat);
    wanted.chain(backends).map(|net| (net, ())).collect()
}

fn host(addr: Addr) -> IpNet {
    addr.to_ip().into()
}
