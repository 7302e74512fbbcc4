use std::time::Duration;

use anyhow::Result;

use super::bench::{Bench, say};
use super::generator::Size;
use super::peer::Kind;
use super::rate::{Load, Stretch, stretch};
use super::rows::{Case, Promise, Series, rows};
use crate::report::model::{Bar, Row, Unit};

/// The generator alone must be so much faster than what it measures; else it was the limit.
const SPARE: f64 = 1.25;
/// Nanoseconds of the appliance's own code for each packet that the design allows.
const USER_NS: f64 = 150.0;

const PROMISES: [Promise; 3] = [
    Promise { to: Kind::Nft, least: 1.4 },
    Promise { to: Kind::Kernel, least: 0.9 },
    Promise { to: Kind::L2fwd, least: 0.9 },
];

/// A rate case.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// What its rows are.
    pub case: Case,
    /// Length of frames.
    pub size: Size,
    /// Whether the design promises something about it.
    pub promised: bool,
    /// Whether devices with packet memory in huge pages have a part in it.
    pub huge_pages: bool,
}

/// The case that everybody quotes.
pub const SMALL: Rate = Rate {
    case: Case {
        id: "wire/udp-64",
        group: "UDP, 64 B frames, as many as come through",
        unit: Unit::PacketsPerSecond,
    },
    size: Size::Bytes(64),
    promised: true,
    huge_pages: true,
};
/// Full frames.
pub const LARGE: Rate = Rate {
    case: Case {
        id: "wire/udp-1500",
        group: "UDP, 1 518 B frames, as many as come through",
        unit: Unit::PacketsPerSecond,
    },
    size: Size::Bytes(1_518),
    promised: false,
    huge_pages: false,
};
/// The mix.
pub const IMIX: Rate = Rate {
    case: Case {
        id: "wire/udp-imix",
        group: "UDP, IMIX (7 : 4 : 1 of 64, 594 and 1 518 B), as many as come through",
        unit: Unit::PacketsPerSecond,
    },
    size: Size::Imix,
    promised: false,
    huge_pages: false,
};

/// Measures a rate case: rows of all devices, the generator's first.
///
/// # Errors
/// When a device or the generator fails.
pub fn rate(bench: &mut Bench, which: Rate) -> Result<Vec<Row>> {
    let load = Load { size: which.size, rate: None };
    let mut all: Vec<_> = bench.devices.iter().map(|one| Series::new(one.kind)).collect();
    let mut user = Series::new(Kind::Portreeve(0));
    let time = bench.time;
    for round in 0..bench.rounds {
        for at in bench.turns(round, |kind| has_part(which, kind)) {
            let done = turn(bench, at, load, time)?;
            let kind = bench.devices[at].kind;
            let rate = done.rate();
            let name = which.case.id;
            say(&format!(
                "{name} {}/{}: {:<28} {:.3} Mpps",
                round + 1,
                bench.rounds,
                kind.label(),
                rate / 1e6
            ));
            all[at].push(rate, done.packets as f64, done.busy, done.disturbed);
            if let (Kind::Portreeve(0), Some(seconds)) = (kind, done.user) {
                let ns = 1e9 * seconds / done.packets.max(1) as f64;
                user.push(ns, done.packets as f64, 0.0, done.disturbed);
            }
        }
    }
    bench.check()?;
    note_limits(&mut all);
    all.retain(|series| !series.rounds.is_empty());
    all.sort_by_key(|series| series.kind != Kind::Alone);
    let promises: &[Promise] = if which.promised { &PROMISES } else { &[] };
    let mut rows = rows(which.case, &all, promises);
    tell_apart(&mut rows, &all);
    if which.promised && !user.rounds.is_empty() {
        rows.push(user_row(which.case, &user));
    }
    Ok(rows)
}

fn has_part(which: Rate, kind: Kind) -> bool {
    let huge_pages = which.huge_pages && kind.without_huge_pages().is_some();
    kind.carries_udp() || kind == Kind::Alone || huge_pages
}

/// A device that is there with huge pages, too, says that it has none.
fn tell_apart(rows: &mut [Row], all: &[Series]) {
    for (row, series) in rows.iter_mut().zip(all) {
        if all.iter().any(|other| other.kind.without_huge_pages() == Some(series.kind)) {
            row.label += ", no huge pages reserved";
        }
    }
}

/// One device's turn.
fn turn(bench: &mut Bench, at: usize, load: Load, time: Duration) -> Result<Stretch> {
    let one = &bench.devices[at];
    stretch(one, &mut bench.generator, &bench.look_out, load, time)
}

fn note_limits(all: &mut [Series]) {
    let Some(alone) = all.iter().find(|series| series.kind == Kind::Alone) else { return };
    let alone = alone.median();
    for series in all.iter_mut().filter(|series| series.kind != Kind::Alone) {
        if alone < SPARE * series.median() {
            series.notes.push(format!(
                "the generator was the limit: alone it makes {:.2} Mpps",
                alone / 1e6
            ));
        }
    }
}

fn user_row(case: Case, user: &Series) -> Row {
    let case = Case { unit: Unit::NsPerPacket, ..case };
    let mut row = rows(case, std::slice::from_ref(user), &[]).remove(0);
    row.id = format!("{}/user-space", case.id);
    row.label = "Portreeve: time outside the kernel".to_owned();
    let reached = user.median();
    row.bars.push(Bar {
        text: format!("<= {USER_NS:.0} ns"),
        reached: format!("{reached:.0} ns"),
        met: reached <= USER_NS,
    });
    row.notes.push(
        "user time of the worker's thread as the kernel samples it, divided by packets that \
         arrived"
            .to_owned(),
    );
    row
}
