//! Two compilers go through the same history, one of which may not amend.

/// The host and what is wanted of it, small enough for everything to meet.
mod world;
/// What may happen.
mod edit;
/// Whether two compilers came to the same.
mod same;

use dataplane::addr::Addr;
use dataplane::tables::{Deadline, Deadlines};
use dataplane::time::BootTime;
use proptest::prelude::*;

use super::*;
use crate::compile::{Strictness, change};
use crate::desired::Desired;
use crate::problem::Problem;
use crate::topology::Topology;
use edit::{Edit, edits};

struct Pair {
    quick: Compiler,
    thorough: Compiler,
    desired: Desired,
    topology: Topology,
    now: Duration,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            quick: few_graves(),
            thorough: few_graves(),
            desired: world::desired(),
            topology: world::host(),
            now: Duration::ZERO,
        };
        pair.compile(Strictness::New, &pair.desired.clone());
        pair
    }

    /// Whether the first of the two would amend its last outcome.
    fn amends(&self, strictness: Strictness, wanted: &Desired) -> bool {
        let Some(last) = &self.quick.memo.last else { return false };
        change::plan(&self.quick, last, strictness, (wanted, &self.topology), self.now).is_some()
    }

    /// Both compile; what is refused is wanted no more. Whether the first one amended.
    fn compile(&mut self, strictness: Strictness, wanted: &Desired) -> bool {
        let amends = self.amends(strictness, wanted);
        let quick = self.quick.compile_as(strictness, wanted, &self.topology, self.now);
        self.thorough.memo.last = None;
        let thorough = self.thorough.compile_as(strictness, wanted, &self.topology, self.now);
        same::outcomes(&quick, &thorough);
        if quick.is_ok() {
            same::memories(&self.quick, &self.thorough);
            self.desired = wanted.clone();
        }
        amends
    }

    fn apply(&mut self, edit: &Edit, strictness: Strictness) -> bool {
        let mut wanted = self.desired.clone();
        edit.apply(&mut wanted, &mut self.topology, &mut self.now);
        if matches!(edit, Edit::Forget) {
            self.quick.forget();
            self.thorough.forget();
        }
        self.compile(strictness, &wanted)
    }
}

/// So few that some have to make room.
fn few_graves() -> Compiler {
    let mut compiler = Compiler::new();
    compiler.graves.backends.most = 4;
    compiler.graves.left.most = 5;
    compiler
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_history_ends_the_same_whether_outcomes_are_amended_or_made_anew(
        history in proptest::collection::vec((edits(), any::<bool>()), 1..60)
    ) {
        let mut pair = Pair::new();
        for (edit, running) in &history {
            let strictness = if *running { Strictness::Running } else { Strictness::New };
            pair.apply(edit, strictness);
        }
    }
}

#[test]
fn backends_weights_sizes_neighbours_and_time_are_amended_and_all_else_is_made_anew() {
    let amended = [
        Edit::Add { service: 0, backend: 3, weight: 100 },
        Edit::Add { service: 1, backend: 9, weight: 0 },
        Edit::Weight { service: 0, backend: 0, weight: 7 },
        Edit::Remove { service: 0, backend: 0 },
        Edit::Size { service: 2, size: 251 },
        Edit::Wait { seconds: 5_000 },
        Edit::Wait { seconds: 5_000 },
        Edit::Neighbour { backend: 0 },
        Edit::Nothing,
    ];
    let anew = [
        Edit::Announce { service: 0 },
        Edit::Rename { service: 1 },
        Edit::Sources { service: 2 },
        Edit::Mtu { link: 1 },
        Edit::Route { subnet: 1 },
        Edit::Forget,
    ];
    let mut pair = Pair::new();
    for edit in &amended {
        assert!(pair.apply(edit, Strictness::New), "{edit:?}");
    }
    for edit in &anew {
        assert!(!pair.apply(edit, Strictness::New), "{edit:?}");
    }
}

#[test]
fn what_a_change_does_not_touch_is_the_same_arc() {
    let mut pair = Pair::new();
    let before = pair.quick.memo.compiled.clone();
    let edit = Edit::Weight { service: 0, backend: 0, weight: 7 };
    assert!(pair.apply(&edit, Strictness::New));
    let after = &pair.quick.memo.compiled;
    assert!(Arc::ptr_eq(&before.tables.backends, &after.tables.backends));
    assert!(Arc::ptr_eq(&before.tables.addresses, &after.tables.addresses));
    assert!(Arc::ptr_eq(&before.tables.routing, &after.tables.routing));
    assert!(Arc::ptr_eq(&before.steering, &after.steering));
    assert!(Arc::ptr_eq(&before.announce, &after.announce));
    assert!(Arc::ptr_eq(&before.groups, &after.groups));
    assert!(Arc::ptr_eq(&before.wanted_neighbours, &after.wanted_neighbours));
    let same = before.services.iter().zip(&*after.services).map(|(a, b)| Arc::ptr_eq(a, b));
    assert_eq!(same.collect::<Vec<_>>(), [false, true, true, true]);
}

#[test]
fn a_backend_out_of_reach_is_a_warning_of_its_service_until_it_goes() {
    let mut pair = Pair::new();
    let lost = Edit::Add { service: 0, backend: world::LOST, weight: 1 };
    let warnings = |pair: &Pair| -> Vec<Problem> { pair.quick.memo.compiled.warnings.clone() };
    assert!(!pair.apply(&lost, Strictness::New), "made anew to find all problems");
    assert!(warnings(&pair).is_empty(), "it was refused");
    assert!(pair.apply(&lost, Strictness::Running));
    assert_eq!(warnings(&pair).len(), 1);
    assert!(pair.apply(&Edit::Remove { service: 1, backend: 0 }, Strictness::Running));
    assert_eq!(warnings(&pair).len(), 1);
    assert!(pair.apply(&Edit::Remove { service: 0, backend: 2 }, Strictness::Running));
    assert!(warnings(&pair).is_empty());
}

#[test]
fn deadlines_are_amended_and_a_renewal_is_no_change() {
    let mut pair = Pair::new();
    let vip = Addr::v4([10, 9, 0, 1]);
    let lease = |pair: &Pair, deadline: &Deadline| {
        let deadlines = Deadlines::from_iter([(vip, deadline.clone())]);
        Desired { deadlines: Arc::new(deadlines), ..pair.desired.clone() }
    };
    let deadline = Deadline::new(BootTime(5));
    let wanted = lease(&pair, &deadline);
    assert!(pair.compile(Strictness::Running, &wanted));
    let before = pair.quick.memo.compiled.clone();
    assert_eq!(before.tables.deadlines.get(&vip), Some(&deadline));
    deadline.set(BootTime(10));
    let again = lease(&pair, &deadline);
    assert_eq!(again, wanted);
    assert!(pair.compile(Strictness::Running, &again));
    let after = &pair.quick.memo.compiled;
    assert!(Arc::ptr_eq(&before.tables.deadlines, &after.tables.deadlines));
    assert!(Arc::ptr_eq(&before.tables.addresses, &after.tables.addresses));
    assert_eq!(after.tables.deadlines.get(&vip).unwrap().get(), BootTime(10));
}
