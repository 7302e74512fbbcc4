use std::time::Duration;

use super::*;
use crate::kubernetes::api::lease::{LeaseMetadata, LeaseSpec};
use crate::kubernetes::election::{OnApiLoss, Outcome, SUCCESSOR, Seat};
use crate::kubernetes::leading::order::next_id;

const LEASE: &str = "cilium-l2announce-default-svc1";

fn at(ms: u64) -> BootTime {
    BootTime(ms * 1_000_000)
}

fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing { duration: ms(3_000), renew: ms(1_000), retry: ms(200) }
}

/// A board, and what one has of its elections.
struct Bench {
    board: Board,
    version: u64,
}

struct Held {
    id: u64,
    deadline: dataplane::tables::Deadline,
    standing: watch::Receiver<Standing>,
}

impl Bench {
    /// The gateway `gw1`, whose cluster has no lease.
    fn new() -> Self {
        let mut board = Board::new("gw1");
        board.take(at(0), Order::All(BTreeMap::new(), Some(1)));
        board.take(at(0), Order::Retime(timing()));
        Self { board, version: 1 }
    }

    fn enter(&mut self, lease: &str, field: Field) -> Held {
        let (namespace, me) = ("kube-system".to_owned(), "gw1".to_owned());
        let seat = Seat { namespace, lease: lease.to_owned(), me };
        let election = Election::new(seat, Timing::default(), OnApiLoss::Release);
        let deadline = election.deadline().clone();
        let (report, standing) = watch::channel(Standing::default());
        let id = next_id();
        let entry = Entry { lease: lease.into(), id, election, field, report };
        self.board.take(at(0), Order::Enter(Box::new(entry)));
        Held { id, deadline, standing }
    }

    fn will(&mut self, lease: &str, held: &Held, willing: bool) {
        self.board.take(at(0), Order::Will(lease.into(), held.id, willing));
    }

    /// Does what is asked for as an API server does that has room for it.
    fn serve(&mut self, ms: u64) -> Vec<Lease> {
        let (wishes, _) = self.board.step(at(ms));
        let mut written = Vec::new();
        for Wish { lease, id, action } in wishes {
            let (Action::Create(mut object) | Action::Replace(mut object)) = action else {
                panic!("{action:?}")
            };
            self.version += 1;
            object.metadata.resource_version = self.version.to_string();
            let outcome = Outcome::Written(object.clone());
            self.board.finish(at(ms), &lease, id, at(ms), outcome.into());
            written.push(object);
        }
        self.board.step(at(ms));
        written
    }
}

fn foreign(name: &str, holder: &str, version: u64) -> Lease {
    let (name, resource_version) = (name.to_owned(), version.to_string());
    let metadata = LeaseMetadata { name, resource_version, ..LeaseMetadata::default() };
    let spec = LeaseSpec {
        holder_identity: holder.to_owned(),
        lease_duration_seconds: Some(3),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec }
}

#[test]
fn nothing_is_written_before_it_is_known_how_long_leases_last_and_whether_we_are_willing() {
    let mut bench = Bench { board: Board::new("gw1"), version: 1 };
    let held = bench.enter(LEASE, Field::Alone);
    bench.will(LEASE, &held, true);
    bench.board.take(at(0), Order::All(BTreeMap::new(), Some(1)));
    assert!(bench.serve(1).is_empty(), "no timing");
    assert_eq!(bench.board.next_look(at(1)), None);
    bench.board.take(at(1), Order::Retime(timing()));
    assert_eq!(bench.serve(2)[0].spec.lease_duration_seconds, Some(3));

    let mut bench = Bench::new();
    bench.board.take(at(0), Order::Changed(foreign(LEASE, "gw1", 2)));
    bench.enter(LEASE, Field::Alone);
    assert!(bench.serve(1).is_empty(), "not even released");
}

#[test]
fn who_leads_is_told_and_who_withdraws_gives_the_lease_up_and_is_forgotten() {
    let mut bench = Bench::new();
    let mut held = bench.enter(LEASE, Field::Alone);
    bench.will(LEASE, &held, true);
    assert_eq!(bench.serve(10)[0].spec.holder_identity, "gw1");
    assert!(held.standing.borrow_and_update().leads);
    assert_eq!(held.deadline.get(), at(3_010));
    assert!(bench.board.next_look(at(10)).unwrap() <= at(1_010), "it is renewed");

    bench.board.take(at(500), Order::Withdraw(LEASE.into(), held.id));
    let (wishes, moved) = bench.board.step(at(500));
    assert!(moved && held.deadline.get() == BootTime::default(), "silent before it is written");
    let Action::Replace(released) = &wishes[0].action else { panic!("{wishes:?}") };
    assert_eq!(released.spec.holder_identity, "");
    assert!(!bench.board.races.is_empty());
    let outcome = Outcome::Written(released.clone());
    bench.board.finish(at(510), LEASE, held.id, at(500), outcome.into());
    bench.board.step(at(510));
    assert!(bench.board.races.is_empty());
}

#[test]
fn a_second_candidacy_takes_the_place_of_the_first_and_answers_to_that_are_left_out() {
    let mut bench = Bench::new();
    let first = bench.enter(LEASE, Field::Alone);
    bench.will(LEASE, &first, true);
    let (wishes, _) = bench.board.step(at(1));
    let second = bench.enter(LEASE, Field::Alone);
    let outcome = Outcome::Written(foreign(LEASE, "gw1", 2));
    bench.board.finish(at(2), LEASE, wishes[0].id, at(1), outcome.into());
    bench.board.take(at(3), Order::Withdraw(LEASE.into(), first.id));
    bench.will(LEASE, &second, true);
    assert_eq!(first.deadline.get(), BootTime::default());
    assert_eq!(bench.serve(4).len(), 1);
    assert!(second.deadline.get() > at(4));
}

#[test]
fn requests_are_limited_and_the_rest_comes_after_them() {
    let mut bench = Bench::new();
    for n in 0..MOST * 2 {
        let name = format!("{LEASE}{n}");
        let held = bench.enter(&name, Field::Alone);
        bench.will(&name, &held, true);
    }
    let (wishes, _) = bench.board.step(at(1));
    assert_eq!(wishes.len(), MOST);
    assert!(bench.board.step(at(1)).0.is_empty());
    let wish = &wishes[0];
    bench.board.finish(at(2), &wish.lease, wish.id, at(1), Outcome::Unreachable.into());
    assert_eq!(bench.board.step(at(2)).0.len(), 1);
}

#[test]
fn the_end_of_somebody_elses_time_is_told_without_anything_happening() {
    let mut bench = Bench::new();
    bench.board.take(at(0), Order::Changed(foreign(LEASE, "gw2", 2)));
    let held = bench.enter(LEASE, Field::Gateways);
    bench.will(LEASE, &held, false);
    bench.board.step(at(1));
    let standing = held.standing.borrow().clone();
    assert!(standing.taken && standing.holder.as_deref() == Some("gw2"));
    assert_eq!(bench.board.next_look(at(1)), Some(at(3_000)));
    bench.board.step(at(3_000));
    assert!(!held.standing.borrow().taken);
}

#[test]
fn who_resigns_gives_everything_up_and_takes_nothing_more() {
    let mut bench = Bench::new();
    let other = "portreeve-gateway-gw2";
    bench.board.take(at(0), Order::Changed(foreign(other, "gw2", 2)));
    let held = bench.enter(LEASE, Field::Gateways);
    bench.will(LEASE, &held, true);
    assert!(bench.serve(1).is_empty(), "not preferred: our heartbeat is not known");
    assert_eq!(bench.serve(250)[0].spec.holder_identity, "gw1");
    bench.board.take(at(300), Order::Resign);
    let released = &bench.serve(300)[0];
    assert_eq!(released.spec.holder_identity, "");
    assert_eq!(released.metadata.annotations[SUCCESSOR], "gw2");
    bench.will(LEASE, &held, true);
    assert!(bench.serve(5_000).is_empty());
}
