use std::time::Duration;

use anyhow::Result;

use super::bench::{Bench, say};
use super::generator::{Size, Traffic};
use super::latency::{Load, latency};
use super::peer::Kind;
use super::rows::{Case, Series, rows};
use crate::clock::now;
use crate::report::believed::Summary;
use crate::report::model::{Row, Unit};

/// Packets that may be lost at a load that counts as passing "without loss" and "with little",
/// as shares; 0.5 % is MLRsearch's.
const GOALS: [(Case, f64); 2] = [
    (
        Case {
            id: "wire/ndr-64",
            group: "UDP 64 B, the most without any loss (NDR)",
            unit: Unit::PacketsPerSecond,
        },
        0.0,
    ),
    (
        Case {
            id: "wire/pdr-64",
            group: "UDP 64 B, the most with 0.5 % lost (PDR)",
            unit: Unit::PacketsPerSecond,
        },
        0.005,
    ),
];
/// Latency is measured at these shares of PDR.
const SHARES: [(&str, &str, &str, f64); 3] = [
    ("wire/latency-10", "Latency one way at 10 % of PDR, UDP 64 B", "at 10 % of PDR", 0.1),
    ("wire/latency-50", "Latency one way at 50 % of PDR, UDP 64 B", "at 50 % of PDR", 0.5),
    ("wire/latency-90", "Latency one way at 90 % of PDR, UDP 64 B", "at 90 % of PDR", 0.9),
];
/// Where a search begins below; what passes less is given as this.
const LEAST: f64 = 20_000.0;
/// Bounds closer than this are one, as a ratio.
const WIDTH: f64 = 1.04;
/// The generator must send this share of what it shall.
const REACHED: f64 = 0.98;
/// Length of a trial.
const TRIAL: Duration = Duration::from_secs(1);
/// Time for the last packets to arrive.
const SETTLE: Duration = Duration::from_millis(50);
/// A load passes when it does in most of so many trials: one in which the machine looked away
/// says nothing of the device.
const TRIALS: usize = 3;

/// Searches by halving, per device and goal; latency at shares of what was found.
///
/// # Errors
/// When a device or the generator fails.
pub fn search(bench: &mut Bench, rates: &[Row]) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    for (case, allowed) in GOALS {
        let mut every = Vec::new();
        found.clear();
        for at in bench.turns(0, Kind::carries_udp) {
            let kind = bench.devices[at].kind;
            let rate = halve(bench, at, allowed, most(rates, kind))?;
            say(&format!("{}: {:<28} {:.3} Mpps", case.id, kind.label(), rate / 1e6));
            let mut series = Series::new(kind);
            series.push(rate, 0.0, 0.0, super::rate::Disturbed::default());
            every.push(series);
            found.push((kind, rate));
        }
        all.extend(rows(case, &every, &[]));
    }
    for (id, group, of, share) in SHARES {
        let rates = found.iter().map(|(kind, rate)| (*kind, rate * share)).collect();
        let case = Case { id, group, unit: Unit::Ns };
        all.extend(latency(bench, &Load { case, of, rates })?);
    }
    Ok(all)
}

/// Nothing passes more than what came through of as much as possible.
fn most(rates: &[Row], kind: Kind) -> f64 {
    let row = rates.iter().find(|row| row.id.ends_with(&format!("/{}", kind.id())));
    row.map_or(LEAST, |row| Summary::of_row(row).median * 1.1).max(LEAST)
}

fn halve(bench: &mut Bench, at: usize, allowed: f64, most: f64) -> Result<f64> {
    let (mut low, mut high) = (LEAST, most);
    while high / low > WIDTH {
        // Rates differ by factors: the middle is the geometric one.
        let middle = (low * high).sqrt();
        if passes(bench, at, allowed, middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn passes(bench: &mut Bench, at: usize, allowed: f64, rate: f64) -> Result<bool> {
    let (mut good, mut bad) = (0, 0);
    while good.max(bad) <= TRIALS / 2 {
        if trial(bench, at, rate)?.passes(allowed, rate) {
            good += 1;
        } else {
            bad += 1;
        }
    }
    Ok(good > bad)
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// Packets per second that were sent.
    offered: f64,
    /// The share that was lost of everything, from the first packet to the last.
    loss: f64,
}

impl Trial {
    /// A device that runs on the generator's core holds it up instead of losing packets: what was
    /// not even sent has not passed.
    fn passes(self, allowed: f64, rate: f64) -> bool {
        self.loss <= allowed && self.offered >= REACHED * rate
    }
}

fn trial(bench: &mut Bench, at: usize, rate: f64) -> Result<Trial> {
    let Bench { devices, generator, .. } = bench;
    let one = &devices[at];
    let traffic = Traffic { rate: Some(rate), ..one.rig.traffic(one.kind.aim(), Size::Bytes(64))? };
    one.peer.wake()?;
    let before = (generator.sent()?, one.rig.discarded()?);
    let offered = generator.during(Some(&one.rig.client), &traffic, |meter| {
        let (begun, first) = (now(), meter.sent()?.packets);
        std::thread::sleep(TRIAL);
        Ok((meter.sent()?.packets - first) as f64 / begun.elapsed().as_secs_f64())
    })?;
    std::thread::sleep(SETTLE);
    let after = (generator.sent()?, one.rig.discarded()?);
    one.peer.rest()?;
    let sent = after.0.packets - before.0.packets;
    let lost = sent.saturating_sub(after.1 - before.1);
    Ok(Trial { offered, loss: lost as f64 / sent.max(1) as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_has_not_passed() {
        assert!(Trial { offered: 1e6, loss: 0.004 }.passes(0.005, 1e6));
        assert!(!Trial { offered: 1e6, loss: 0.006 }.passes(0.005, 1e6));
        assert!(!Trial { offered: 0.9e6, loss: 0.0 }.passes(0.005, 1e6));
    }
}
