use dataplane::addr::Addr;
use dataplane::tables::{Frontend, Tables};

use super::world::BACKENDS;
use crate::compile::{Compiled, Compiler};
use crate::problem::Problem;

/// Whether two compilations came to the same, ids included.
pub fn outcomes(a: &Result<Compiled, Vec<Problem>>, b: &Result<Compiled, Vec<Problem>>) {
    let (a, b) = match (a, b) {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => {
            assert_eq!(a.as_ref().err(), b.as_ref().err());
            return;
        }
    };
    tables(&a.tables, &b.tables);
    assert_eq!(a.steering, b.steering);
    assert_eq!(a.services, b.services);
    assert_eq!(a.wanted_neighbours, b.wanted_neighbours);
    assert_eq!(a.groups, b.groups);
    assert_eq!(a.announce, b.announce);
    assert_eq!(a.next_deadline, b.next_deadline);
    assert_eq!(a.warnings, b.warnings);
}

fn tables(a: &Tables, b: &Tables) {
    assert_eq!(a.ports, b.ports);
    assert_eq!(a.addresses, b.addresses);
    assert_eq!(a.deadlines, b.deadlines);
    let frontends = |tables: &Tables| -> Vec<_> {
        let all = tables.frontends.iter();
        all.map(|(id, frontend)| {
            assert_eq!(tables.frontends.find(&frontend.key).map(|(id, _)| id), Some(id));
            // The rest of it says little on a screen.
            let Frontend { maglev, .. } = frontend;
            let rest = Frontend { maglev: None, ..frontend.clone() };
            (format!("{id:?} {rest:?}"), maglev.as_ref().map(|table| table.backends().to_vec()))
        })
        .collect()
    };
    assert_eq!(frontends(a), frontends(b));
    let maglev = |(_, frontend): (_, &Frontend)| frontend.maglev.clone();
    assert!(a.frontends.iter().map(maglev).eq(b.frontends.iter().map(maglev)));
    let backends = |tables: &Tables| -> Vec<_> {
        tables.backends.iter().map(|(id, backend)| (id, *backend)).collect()
    };
    assert_eq!(backends(a), backends(b));
    assert!(a.snat.iter().eq(b.snat.iter()));
    assert_eq!(a.routing.generation, b.routing.generation);
    assert!(a.routing.hops().eq(b.routing.hops()));
    for backend in BACKENDS {
        let way = |tables: &Tables| {
            let addr = Addr::from(backend.parse::<std::net::IpAddr>().unwrap());
            tables.routing.resolve(addr, |port| tables.port(port).mtu)
        };
        assert_eq!(way(a), way(b), "{backend}");
    }
    assert_eq!((a.timeouts, a.seeds), (b.timeouts, b.seeds));
}

/// Whether two compilers remember the same for their next compilation.
pub fn memories(a: &Compiler, b: &Compiler) {
    assert_eq!(a.memo.members, b.memo.members);
    let maglev = |compiler: &Compiler| -> Vec<_> {
        let tables = compiler.memo.maglev.tables.iter();
        let mut uses: Vec<_> = tables.map(|(key, (_, uses))| (key.clone(), *uses)).collect();
        uses.sort_unstable();
        uses
    };
    assert_eq!(maglev(a), maglev(b));
    let (Some(a), Some(b)) = (&a.memo.last, &b.memo.last) else { panic!("they have succeeded") };
    assert_eq!(a.desired, b.desired);
    assert_eq!(a.plan.backends.by_key, b.plan.backends.by_key);
    assert_eq!(a.plan.hops, b.plan.hops);
    assert_eq!(a.plan.sources, b.plan.sources);
    assert_eq!(a.plan.frontends, b.plan.frontends);
    assert_eq!(a.plan.troubles, b.plan.troubles);
}
