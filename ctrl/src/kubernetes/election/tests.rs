use std::collections::BTreeSet;

use super::*;
use crate::kubernetes::api::lease::{Lease, LeaseMetadata, LeaseSpec, MicroTime};

const LEASE: &str = "cilium-l2announce-default-svc1";
/// For [`LEASE`], "gw2" comes before "gw1".
const FIRST: &str = "gw2";
const SECOND: &str = "gw1";

fn at(ms: u64) -> BootTime {
    BootTime(1_000_000_000_000).after(Duration::from_millis(ms))
}

fn now(ms: u64) -> Now {
    Now { boot: at(ms), wall: MicroTime(format!("wall {ms}")) }
}

/// The lab's: 3 s, 1 s, 200 ms.
fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing { duration: ms(3_000), renew: ms(1_000), retry: ms(200) }
}

/// How long after a renewal [`LEASE`] is renewed again, in milliseconds, rounded up.
fn interval() -> u64 {
    timing().interval(LEASE).as_millis() as u64 + 1
}

fn held(holder: &str, version: u64, renewed: &str) -> Lease {
    let metadata = LeaseMetadata {
        name: LEASE.to_owned(),
        namespace: "kube-system".to_owned(),
        resource_version: version.to_string(),
        ..LeaseMetadata::default()
    };
    let spec = LeaseSpec {
        holder_identity: holder.to_owned(),
        lease_duration_seconds: Some(if holder.is_empty() { 1 } else { 3 }),
        acquire_time: Some(MicroTime("acquired".to_owned())),
        renew_time: Some(MicroTime(renewed.to_owned())),
        lease_transitions: Some(4),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec }
}

/// One gateway, and what it sees.
struct Bench {
    election: Election,
    candidates: BTreeSet<String>,
    willing: bool,
}

impl Bench {
    fn of(me: &str, on_api_loss: OnApiLoss) -> Self {
        let [namespace, lease] = ["kube-system", LEASE].map(str::to_owned);
        let seat = Seat { namespace, lease, me: me.to_owned() };
        let candidates = [FIRST, SECOND].map(str::to_owned).into();
        Self { election: Election::new(seat, timing(), on_api_loss), candidates, willing: true }
    }

    fn new(me: &str) -> Self {
        Self::of(me, OnApiLoss::Release)
    }

    /// One that leads since `ms` 0, with version 10 of the lease.
    fn leading(on_api_loss: OnApiLoss) -> Self {
        let mut bench = Self::of(FIRST, on_api_loss);
        bench.see(0, &held("", 9, "x"));
        let Action::Replace(lease) = bench.decide(0).action else { panic!("it is free") };
        bench.written(10, 0, lease, 10);
        assert!(bench.election.leads(at(2_999)) && !bench.election.leads(at(3_000)));
        bench
    }

    fn see(&mut self, ms: u64, lease: &Lease) {
        self.election.observe(at(ms), Seen::Lease(lease));
    }

    fn gone(&mut self, ms: u64, version: u64) {
        self.election.observe(at(ms), Seen::Gone { version: Some(version) });
    }

    fn decide(&mut self, ms: u64) -> Decision {
        let terms = Terms { willing: self.willing, candidates: &self.candidates };
        self.election.decide(&now(ms), terms)
    }

    fn finish(&mut self, ms: u64, sent: u64, outcome: Outcome) {
        self.election.finish(at(ms), at(sent), outcome);
    }

    fn written(&mut self, ms: u64, sent: u64, mut lease: Lease, version: u64) {
        lease.metadata.resource_version = version.to_string();
        self.finish(ms, sent, Outcome::Written(lease));
    }

    /// Nothing is to be done before `until`.
    fn assert_waits(&mut self, ms: u64, until: u64) {
        assert_eq!(self.decide(ms), Decision::wait(Some(at(until))), "at {ms}");
    }
}

fn replaced(decision: Decision) -> Lease {
    let Action::Replace(lease) = decision.action else { panic!("{decision:?}") };
    lease
}

#[test]
fn the_first_comes_first() {
    assert_eq!(preferred(LEASE, [FIRST, SECOND]), Some(FIRST));
}

#[test]
fn nothing_is_done_before_the_lease_was_looked_at() {
    assert_eq!(Bench::new(FIRST).decide(0), Decision::wait(None));
}

#[test]
fn a_lease_that_is_not_there_is_made() {
    let mut bench = Bench::new(FIRST);
    bench.gone(5, 7);
    let Action::Create(lease) = bench.decide(5).action else { panic!("nobody has it") };
    assert_eq!(
        (lease.metadata.name.as_str(), lease.metadata.namespace.as_str()),
        (LEASE, "kube-system")
    );
    assert_eq!(lease.metadata.resource_version, "");
    let spec = &lease.spec;
    assert_eq!((spec.holder_identity.as_str(), spec.lease_duration_seconds), (FIRST, Some(3)));
    assert_eq!(spec.lease_transitions, Some(0));
    assert_eq!((&spec.acquire_time, &spec.renew_time), (&Some(now(5).wall), &Some(now(5).wall)));
    assert_eq!(bench.decide(6), Decision::wait(None), "one request at a time");
    bench.written(30, 6, lease, 8);
    assert_eq!(bench.election.deadline().get(), at(3_006), "from when it was sent");
}

#[test]
fn the_preferred_gateway_takes_a_free_lease_at_once_and_the_others_wait() {
    let mut first = Bench::new(FIRST);
    first.see(0, &held("", 9, "x"));
    let taken = replaced(first.decide(0));
    assert_eq!(taken.spec.lease_transitions, Some(5));
    assert_eq!(taken.metadata.resource_version, "9");
    let mut second = Bench::new(SECOND);
    second.see(0, &held("", 9, "x"));
    second.assert_waits(0, 200);
    replaced(second.decide(200));
    let mut alone = Bench::new(SECOND);
    alone.candidates = BTreeSet::from([SECOND.to_owned()]);
    alone.see(0, &held("", 9, "x"));
    replaced(alone.decide(0));
}

#[test]
fn whoever_holds_it_is_respected_until_his_time_has_run_out() {
    let mut bench = Bench::new(SECOND);
    bench.see(0, &held("k8s-w1", 9, "a"));
    bench.assert_waits(0, 3_200);
    bench.see(1_000, &held("k8s-w1", 10, "b"));
    bench.assert_waits(1_000, 4_200);
    // Seen again, or with another annotation: that is no renewal.
    let mut annotated = held("k8s-w1", 11, "b");
    annotated.metadata.annotations.insert("a".to_owned(), "b".to_owned());
    bench.see(2_000, &annotated);
    bench.assert_waits(2_000, 4_200);
    let taken = replaced(bench.decide(4_200));
    assert_eq!(
        (taken.spec.lease_transitions, taken.spec.acquire_time),
        (Some(5), Some(now(4_200).wall))
    );
    assert_eq!(taken.metadata.annotations.len(), 1, "what others wrote stays");
}

#[test]
fn a_successor_does_not_wait_for_the_heartbeat_of_who_is_gone() {
    let mut bench = Bench::new(SECOND);
    bench.see(0, &held(FIRST, 9, "a"));
    bench.assert_waits(0, 3_000);
    assert!(bench.candidates.contains(FIRST));
    replaced(bench.decide(3_000));
}

#[test]
fn the_holder_says_how_long_it_lasts() {
    let mut bench = Bench::new(FIRST);
    let mut lease = held("k8s-w1", 9, "a");
    lease.spec.lease_duration_seconds = Some(15);
    bench.see(0, &lease);
    bench.assert_waits(0, 15_000);
    lease.spec.lease_duration_seconds = None;
    lease.metadata.resource_version = "10".to_owned();
    bench.see(0, &lease);
    bench.assert_waits(0, 3_000);
}

#[test]
fn a_leader_renews_in_time_and_is_not_replaced_by_who_is_preferred() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    bench.candidates = BTreeSet::from([SECOND.to_owned()]);
    let Decision { action: Action::Nothing, look: Some(look) } = bench.decide(10) else { panic!() };
    assert_eq!(look, at(0).after(timing().interval(LEASE)));
    let renewed = replaced(bench.decide(interval()));
    assert_eq!(
        (renewed.spec.lease_transitions, &renewed.metadata.resource_version[..]),
        (Some(5), "10")
    );
    assert_eq!(renewed.spec.acquire_time, Some(now(0).wall));
    assert_eq!(renewed.spec.renew_time, Some(now(interval()).wall));
    bench.written(1_500, interval(), renewed, 11);
    assert_eq!(bench.election.deadline().get(), at(interval() + 3_000));
}

#[test]
fn after_a_restart_our_own_lease_is_renewed_and_not_taken_anew() {
    let mut bench = Bench::new(SECOND);
    bench.see(0, &held(SECOND, 9, "a"));
    assert!(!bench.election.leads(at(0)), "whether we still have it is to be found out");
    let renewed = replaced(bench.decide(0));
    assert_eq!(renewed.spec.lease_transitions, Some(4));
    bench.written(10, 1, renewed, 10);
    assert!(bench.election.leads(at(3_000)));
}

#[test]
fn a_conflict_is_looked_at_before_anything_else_is_done() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    replaced(bench.decide(1_500));
    bench.finish(1_510, 1_501, Outcome::Conflict);
    assert!(bench.election.leads(at(1_510)), "it may have been an annotation");
    assert_eq!(bench.decide(1_511).action, Action::Read);
    bench.finish(1_520, 1_512, Outcome::Read(Some(held(SECOND, 12, "b"))));
    assert!(!bench.election.leads(at(1_520)));
    bench.assert_waits(1_520, 4_520);
}

#[test]
fn what_comes_late_from_a_watch_takes_nothing_back() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    bench.see(20, &held("k8s-w1", 8, "x"));
    bench.gone(21, 9);
    assert!(bench.election.leads(at(21)));
    bench.see(30, &held(SECOND, 11, "b"));
    assert!(!bench.election.leads(at(30)));
    // An answer that comes after the news that somebody else has it, too.
    let mut bench = Bench::new(FIRST);
    bench.see(0, &held("", 9, "x"));
    let lease = replaced(bench.decide(0));
    bench.see(5, &held(SECOND, 11, "b"));
    bench.written(6, 1, lease, 10);
    assert!(!bench.election.leads(at(6)));
}

#[test]
fn without_an_answer_it_is_tried_again_and_the_lease_runs_out() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    replaced(bench.decide(1_000));
    bench.finish(1_500, 1_001, Outcome::Unreachable);
    bench.assert_waits(1_500, 1_700);
    replaced(bench.decide(1_700));
    bench.finish(2_900, 1_701, Outcome::Unreachable);
    assert!(bench.election.leads(at(2_999)) && !bench.election.leads(at(3_000)));
    let late = replaced(bench.decide(3_500));
    bench.written(9_000, 3_501, late, 11);
    assert!(!bench.election.leads(at(9_000)), "the answer took longer than the lease lasts");
}

#[test]
fn who_holds_on_goes_on_as_long_as_nobody_else_is_seen_to_lead() {
    let mut bench = Bench::leading(OnApiLoss::Hold);
    let mut ms = 1_000;
    replaced(bench.decide(ms));
    for _ in 0..50 {
        bench.finish(ms + 100, ms, Outcome::Unreachable);
        let waits = bench.decide(ms + 100);
        assert_eq!((waits.action, waits.look), (Action::Nothing, Some(at(ms + 300))));
        assert!(bench.election.leads(at(ms + 300)));
        ms += 300;
        replaced(bench.decide(ms));
    }
    bench.finish(ms + 10, ms, Outcome::Conflict);
    assert!(!bench.election.leads(at(ms + 10)), "the server is there, and the lease has run out");
    assert_eq!(bench.decide(ms + 11).action, Action::Read);
    bench.finish(ms + 20, ms + 11, Outcome::Read(Some(held(FIRST, 10, "wall 0"))));
    let renewed = replaced(bench.decide(ms + 21));
    bench.written(ms + 30, ms + 21, renewed, 11);
    assert!(bench.election.leads(at(ms + 30)));
}

#[test]
fn who_holds_on_lets_go_when_refused_when_another_is_seen_and_after_a_pause() {
    let lost = || {
        let mut bench = Bench::leading(OnApiLoss::Hold);
        replaced(bench.decide(1_000));
        bench.finish(1_100, 1_000, Outcome::Unreachable);
        bench.decide(1_100);
        assert_eq!(bench.election.deadline().get(), at(4_100));
        bench
    };
    let mut refused = lost();
    replaced(refused.decide(1_400));
    refused.finish(1_500, 1_400, Outcome::Refused);
    assert_eq!(refused.election.deadline().get(), at(3_000));
    let mut replaced_by = lost();
    replaced_by.see(1_500, &held(SECOND, 11, "b"));
    assert!(!replaced_by.election.leads(at(1_500)));
    let mut paused = lost();
    paused.decide(4_100);
    assert!(!paused.election.leads(at(4_100)));
}

#[test]
fn who_does_not_want_to_lead_is_silent_first_and_then_gives_the_lease_to_the_next() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    bench.willing = false;
    let released = replaced(bench.decide(500));
    assert!(!bench.election.leads(at(500)), "before it is written");
    let spec = &released.spec;
    assert_eq!((spec.holder_identity.as_str(), spec.lease_duration_seconds), ("", Some(1)));
    assert_eq!((spec.lease_transitions, &spec.renew_time), (Some(5), &Some(now(500).wall)));
    assert_eq!(released.metadata.annotations[SUCCESSOR], SECOND);
    bench.written(510, 500, released.clone(), 11);
    assert_eq!(bench.decide(511), Decision::wait(None));
    let mut next = Bench::new(SECOND);
    let mut seen = released;
    seen.metadata.resource_version = "11".to_owned();
    next.see(510, &seen);
    let taken = replaced(next.decide(510));
    assert!(taken.metadata.annotations.is_empty());
    assert_eq!(taken.spec.lease_transitions, Some(6));
}

#[test]
fn a_successor_that_is_gone_holds_nobody_up() {
    let mut lease = held("", 9, "x");
    lease.metadata.annotations.insert(SUCCESSOR.to_owned(), "gw9".to_owned());
    let mut bench = Bench::new(FIRST);
    bench.see(0, &lease);
    replaced(bench.decide(0));
    lease.metadata.annotations.insert(SUCCESSOR.to_owned(), SECOND.to_owned());
    let mut bench = Bench::new(FIRST);
    bench.see(0, &lease);
    bench.assert_waits(0, 200);
}

#[test]
fn a_renewal_on_its_way_does_not_bring_back_who_has_stopped() {
    let mut bench = Bench::leading(OnApiLoss::Release);
    let renewed = replaced(bench.decide(1_000));
    bench.willing = false;
    assert_eq!(bench.decide(1_005), Decision::wait(None));
    bench.written(1_010, 1_000, renewed, 11);
    assert!(!bench.election.leads(at(1_010)));
    assert_eq!(replaced(bench.decide(1_011)).spec.holder_identity, "");
    bench.finish(1_020, 1_011, Outcome::Unreachable);
    // It wants to lead after all.
    bench.willing = true;
    let again = replaced(bench.decide(1_300));
    bench.written(1_310, 1_300, again, 12);
    assert!(bench.election.leads(at(1_310)));
}

#[test]
fn a_lease_that_somebody_deletes_ends_and_is_held_until_it_would_have_run_out() {
    let mut leader = Bench::leading(OnApiLoss::Release);
    leader.gone(500, 11);
    assert!(!leader.election.leads(at(500)));
    assert!(matches!(leader.decide(500).action, Action::Create(_)));
    let mut other = Bench::new(SECOND);
    other.see(0, &held(FIRST, 10, "a"));
    other.gone(500, 11);
    other.assert_waits(500, 3_200);
    assert!(matches!(other.decide(3_200).action, Action::Create(_)));
}

#[test]
fn gateways_are_alive_while_their_heartbeats_change() {
    let mut gateways = Gateways::new("gw9", timing());
    let alive = |gateways: &Gateways, ms| Vec::from_iter(gateways.candidates(at(ms)));
    let (one, two) = (heartbeat_lease("gw1"), heartbeat_lease("gw2"));
    assert_eq!(one, "portreeve-gateway-gw1");
    gateways.observe(at(0), &one, Seen::Lease(&held("gw1", 1, "a")));
    gateways.observe(at(1_000), &two, Seen::Lease(&held("gw2", 2, "a")));
    gateways.observe(at(1_000), LEASE, Seen::Lease(&held("gw3", 3, "a")));
    assert_eq!(
        (alive(&gateways, 1_000), gateways.next_change(at(1_000))),
        (vec!["gw1".into(), "gw2".into()], Some(at(3_000)))
    );
    gateways.observe(at(2_000), &one, Seen::Lease(&held("gw1", 4, "a")));
    assert_eq!(alive(&gateways, 3_000), ["gw2"], "seen again is not renewed");
    gateways.observe(at(3_500), &one, Seen::Lease(&held("gw1", 5, "b")));
    assert_eq!(alive(&gateways, 4_000), ["gw1"]);
    gateways.observe(at(4_000), &one, Seen::Lease(&held("", 6, "c")));
    assert_eq!((alive(&gateways, 4_000), gateways.next_change(at(4_000))), (vec![], None));
    gateways.observe(at(4_000), &two, Seen::Gone { version: Some(7) });
    assert_eq!(alive(&gateways, 1_000), [""; 0]);
}

#[test]
fn who_has_just_started_leaves_others_the_time_to_be_seen() {
    let mut gateways = Gateways::new("gw1", timing());
    let own = heartbeat_lease("gw1");
    gateways.observe(at(0), &own, Seen::Lease(&held("gw1", 1, "a")));
    assert!(gateways.candidates(at(99)).is_empty());
    assert_eq!(gateways.next_change(at(0)), Some(at(100)));
    assert_eq!(Vec::from_iter(gateways.candidates(at(100))), ["gw1"]);
    gateways.observe(at(1_000), &own, Seen::Lease(&held("gw1", 2, "b")));
    assert_eq!(gateways.candidates(at(1_000)).len(), 1);
}

#[test]
fn a_holder_who_could_not_renew_it_either_is_spared_when_the_server_is_back() {
    let mut bench = Bench::new(SECOND);
    bench.see(0, &held(FIRST, 9, "a"));
    replaced(bench.decide(3_000));
    bench.finish(3_500, 3_000, Outcome::Unreachable);
    assert_eq!(bench.decide(3_700).action, Action::Read);
    bench.finish(60_000, 3_700, Outcome::Read(Some(held(FIRST, 9, "a"))));
    bench.assert_waits(60_000, 61_000);
    // Only once: he has not come.
    replaced(bench.decide(61_000));
}
