//! What `judge` says of a packet is what the program in the kernel does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dataplane::addr::{Addr, Proto};
use dataplane::pipeline::rehearse::{Probe, SOMEBODY, What};
use dataplane::tables::NatEnd;
use dataplane::wire::tcp::Flags;
use portreeve::steering::judge::{judge, takes};
use portreeve::steering::{PortRange, Share, Steering};

use super::cases::*;
use super::world::World;
use super::{XDP_PASS, expected, has_root};

fn addr(ip: impl Into<IpAddr>) -> Addr {
    Addr::from(ip.into())
}

/// What the maps of the test hold, as far as `Steering` can say it.
fn steering() -> Steering {
    let range = |proto, (first, last)| PortRange { proto, first, last };
    let service = range(Proto::Tcp, (SERVICE_PORT, SERVICE_PORT));
    let shared =
        || Share::Ranges(vec![service, range(Proto::Tcp, RANGE), range(Proto::Udp, RANGE)]);
    Steering {
        addresses: BTreeMap::from([
            (addr(WHOLE), Share::Whole),
            (addr(WHOLE6), Share::Whole),
            (addr(SHARED), shared()),
            (addr(SHARED6), shared()),
            (addr(SHARED_TOO), Share::Ranges(vec![service])),
        ]),
        nat_backends: [addr(BACKEND), addr(BACKEND6)]
            .map(|addr| NatEnd { addr, port: BACKEND_PORT, proto: Proto::Tcp })
            .into(),
        host: BTreeSet::from([HOST_ONLY, SHARED, SHARED_TOO].map(addr))
            .into_iter()
            .chain([HOST_ONLY6, SHARED6].map(addr))
            .collect(),
    }
}

#[test]
fn what_is_judged_is_what_the_program_does() {
    if !has_root("what_is_judged_is_what_the_program_does") {
        return;
    }
    let world = World::new();
    let steering = steering();
    let v4 = [WHOLE, SHARED, HOST_ONLY, SHARED_TOO, CLIENT].map(|ip| (addr(CLIENT), addr(ip)));
    let v6 = [WHOLE6, SHARED6, HOST_ONLY6, CLIENT6].map(|ip| (addr(CLIENT6), addr(ip)));
    let backends = [(addr(BACKEND), addr(CLIENT)), (addr(BACKEND6), addr(CLIENT6))];
    let ports = [0, 80, SERVICE_PORT, RANGE.0 - 1, RANGE.0, RANGE.1];
    let mut taken = 0;
    for (src, dst) in v4.into_iter().chain(v6).chain(backends) {
        let tcp = ports
            .into_iter()
            .flat_map(|to| [4000, BACKEND_PORT].map(|from| What::Tcp(from, to, Flags(Flags::SYN))));
        let udp = ports.map(|port| What::Udp(BACKEND_PORT, port));
        for what in tcp.chain(udp).chain([What::Echo, What::WhoHas]) {
            let probe = Probe { from: SOMEBODY, to: SOMEBODY, src, dst, what, ttl: 64, len: 0 };
            let cause = judge(&steering, &probe);
            let (action, outcome) = expected(cause)[0];
            assert_eq!(world.run(&probe.frame()), (action, vec![outcome, cause]), "{probe:?}");
            assert_eq!(takes(cause), action != XDP_PASS, "{cause:?}");
            taken += usize::from(takes(cause));
        }
    }
    assert!(taken > 20, "{taken} were taken");
}
