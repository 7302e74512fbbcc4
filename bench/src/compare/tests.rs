use super::*;
use crate::report::example;
use crate::report::model::{Ratio, Row};

/// Rounds that differ by half a percent.
const TIGHT: [f64; 5] = [0.995, 0.998, 1.0, 1.002, 1.005];
/// Rounds that differ by a tenth.
const NOISY: [f64; 5] = [0.9, 0.95, 1.0, 1.06, 1.1];

fn yardsticks(factor: f64) -> Vec<Row> {
    ["yardstick/null", "yardstick/miss/1k"]
        .map(|id| example::row(id, Unit::NsPerPacket, &TIGHT.map(|round| round * 10.0 * factor)))
        .into()
}

/// A row of 24 ns, its rounds scaled, over the yardsticks of `yardsticks(by)`.
fn row(rounds: [f64; 5], factor: f64, by: f64) -> Row {
    let mut row =
        example::row("established/ipv4/1k", Unit::NsPerPacket, &rounds.map(|r| r * 24.0 * factor));
    let to =
        |to: &str| Ratio { to: to.into(), rounds: rounds.map(|r| r * 2.4 * factor / by).into() };
    row.ratios = vec![to("null"), to("miss")];
    row
}

fn run(rounds: [f64; 5], factor: f64, by: f64) -> Run {
    let mut rows = yardsticks(by);
    rows.push(row(rounds, factor, by));
    example::run_of(rows)
}

fn verdict(old: &Run, new: &Run) -> Verdict {
    let comparison = compare(old, new).unwrap();
    assert_eq!(comparison.rows.len(), 1, "{comparison:?}");
    comparison.rows[0].verdict
}

#[test]
fn a_run_does_not_differ_from_itself() {
    for run in [example::memory(), example::wire()] {
        let comparison = compare(&run, &run).unwrap();
        assert!(comparison.comparable);
        assert_eq!(comparison.count(Verdict::Same), comparison.rows.len(), "{comparison:?}");
        assert!(!comparison.references.is_empty());
        assert!(comparison.notes.is_empty());
    }
}

#[test]
fn a_slower_machine_is_no_difference() {
    assert_eq!(verdict(&run(TIGHT, 1.0, 1.0), &run(TIGHT, 1.1, 1.1)), Verdict::Same);
    assert_eq!(verdict(&run(TIGHT, 1.1, 1.1), &run(TIGHT, 1.0, 1.0)), Verdict::Same);
}

#[test]
fn another_machine_is_not_comparable() {
    let comparison = compare(&run(TIGHT, 1.0, 1.0), &run(TIGHT, 1.2, 1.12)).unwrap();
    assert!(!comparison.comparable);
    assert_eq!(comparison.rows[0].verdict, Verdict::NotComparable);
    let reason = comparison.rows[0].reason.clone().unwrap();
    assert_eq!(reason, "yardstick/null moved by +12.0 %");
    assert!(text::render(&comparison).contains("NOT COMPARABLE: 2 of the yardsticks"));
}

#[test]
fn without_the_yardsticks_own_row_nobody_knows_the_machine() {
    let (old, mut new) = (run(TIGHT, 1.0, 1.0), run(TIGHT, 1.05, 1.0));
    new.rows.remove(0);
    let comparison = compare(&old, &new).unwrap();
    assert_eq!(comparison.rows[0].verdict, Verdict::NotComparable);
    let reason = comparison.rows[0].reason.as_deref();
    assert_eq!(reason, Some("the yardstick null is not a row of both runs"));
    assert_eq!(comparison.rows[1].verdict, Verdict::Gone);
}

#[test]
fn five_percent_in_tight_rounds_are_found() {
    let (old, new) = (run(TIGHT, 1.0, 1.0), run(TIGHT, 1.05, 1.0));
    assert_eq!(verdict(&old, &new), Verdict::Worse);
    assert_eq!(verdict(&new, &old), Verdict::Better);
}

#[test]
fn five_percent_in_noisy_rounds_are_not() {
    assert_eq!(verdict(&run(NOISY, 1.0, 1.0), &run(NOISY, 1.05, 1.0)), Verdict::Same);
}

#[test]
fn a_yardstick_that_moved_alone_makes_nothing_slower() {
    let old = run(TIGHT, 1.0, 1.0);
    let mut new = run(TIGHT, 1.0, 1.0);
    new.rows[0].rounds.iter_mut().for_each(|round| round.value *= 0.95);
    new.rows[2].ratios[0].rounds.iter_mut().for_each(|ratio| *ratio /= 0.95);
    let comparison = compare(&old, &new).unwrap();
    assert_eq!(comparison.rows[0].changes[0].finding, Finding::Worse);
    assert_eq!(comparison.rows[0].verdict, Verdict::Same);
    assert_eq!(comparison.rows[0].reason.as_deref(), Some("its ratios do not agree"));
}

#[test]
fn rates_are_worse_when_they_fall() {
    let wire = |ratio: f64| {
        let mut own = example::row("udp/portreeve", Unit::PacketsPerSecond, &TIGHT);
        own.ratios =
            vec![Ratio { to: "udp/nft".into(), rounds: TIGHT.map(|round| round * ratio).into() }];
        let peer = example::row("udp/nft", Unit::PacketsPerSecond, &TIGHT);
        let mut run = example::run_of(vec![own, peer]);
        run.kind = crate::report::model::Kind::Wire;
        run
    };
    assert_eq!(verdict(&wire(1.5), &wire(1.4)), Verdict::Worse);
    assert_eq!(verdict(&wire(1.4), &wire(1.5)), Verdict::Better);
}

#[test]
fn a_row_of_one_run_alone_is_said() {
    let (both, mut less) = (run(TIGHT, 1.0, 1.0), run(TIGHT, 1.0, 1.0));
    less.rows.pop();
    assert_eq!(verdict(&both, &less), Verdict::Gone);
    assert_eq!(verdict(&less, &both), Verdict::New);
    let text = text::render(&compare(&both, &less).unwrap());
    assert!(text.contains("rows: 1 only in the old run"), "{text}");
}

#[test]
fn unreliable_rounds_are_left_out_until_too_many_are() {
    let old = run(TIGHT, 1.0, 1.0);
    let mut new = run(TIGHT, 1.0, 1.0);
    for at in 0..2 {
        new.rows[2].rounds[at].unreliable = true;
        new.rows[2].ratios.iter_mut().for_each(|ratio| ratio.rounds[at] *= 3.0);
    }
    assert_eq!(verdict(&old, &new), Verdict::Same);
    new.rows[2].rounds[2].unreliable = true;
    assert_eq!(verdict(&old, &new), Verdict::Unreliable);
}

#[test]
fn bytes_are_compared_as_they_are_and_times_are_not() {
    let of = |unit: Unit, value: f64| example::run_of(vec![example::row("flows", unit, &[value])]);
    let bytes = |value: f64| of(Unit::Bytes, value);
    assert_eq!(verdict(&bytes(1e9), &bytes(1.1e9)), Verdict::Worse);
    assert_eq!(verdict(&bytes(1e9), &bytes(1.01e9)), Verdict::Same);
    assert_eq!(verdict(&of(Unit::Ms, 1.0), &of(Unit::Ms, 2.0)), Verdict::NotComparable);
    assert_eq!(verdict(&of(Unit::Ms, 1.0), &bytes(1.0)), Verdict::NotComparable);
}

#[test]
fn other_settings_are_noted_and_other_kinds_refused() {
    let (old, mut new) = (run(TIGHT, 1.0, 1.0), run(TIGHT, 1.0, 1.0));
    new.settings.insert("burst".into(), "32".into());
    let notes = compare(&old, &new).unwrap().notes;
    assert_eq!(notes, ["the setting burst differs: 64, now 32"]);
    assert!(compare(&old, &example::wire()).unwrap_err().to_string().contains("wire"));
}
