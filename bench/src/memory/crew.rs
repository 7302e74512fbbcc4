//! One or two workers on threads of their own: what a second one adds, and what it costs when half of
//! the packets come in at the worker that does not own their flow.

/// Several workers over one UMEM.
mod members;
/// Threads that begin together.
mod start;

use anyhow::{Result, ensure};

use super::packets::{Kind, SMALL, Template};
use super::round::BATCHES;
use super::world::Shape;
use super::yardstick::Null;
use crate::clock::now;
use crate::report::figure;
use crate::report::model::{Bar, Extra, Ratio, Row, Unit};
use crate::stats::median;
use dataplane::addr::Family;
pub use members::Crew;
use start::Start;
pub use start::look_at_cores;

/// Flows that are established; they fit into the caches, so that handing over is what shows.
pub const FLOWS: u32 = 1_000;
/// Packets of the row that hands all of them over.
const ONE_WAY: usize = 10_000_000;
const MILLION: usize = 1_000_000;
/// The last million may be so much slower than the second.
const SLOWDOWN: f64 = 1.15;
const GROUP: &str = "Several workers";

/// Where the packets of a flow come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// At the worker that owns it.
    Owner,
    /// Every second one at another worker.
    Half,
    /// All at another worker.
    Other,
}

/// The rows of several workers, or one row that says that there are too few cores.
///
/// # Errors
/// When a world cannot be made, or packets are lost.
pub fn rows(rounds: usize, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    progress("workers");
    let mut one = Crew::new(1, &Shape::default(), FLOWS)?;
    let mut two = Crew::new(2, &Shape::default(), FLOWS)?;
    let mut measured = Measured::default();
    for _ in 0..rounds {
        measured.null_one.push(nulls(1)?);
        measured.null_two.push(nulls(2)?);
        measured.one.push(one.round(Arrival::Owner)?);
        measured.two.push(two.round(Arrival::Owner)?);
        measured.half.push(two.round(Arrival::Half)?);
    }
    let mut rows = measured.rows();
    progress("workers, ten million packets handed over");
    rows.push(one_way()?);
    Ok(rows)
}

/// Nanoseconds for each packet of all workers together, by round.
#[derive(Default)]
struct Measured {
    null_one: Vec<f64>,
    null_two: Vec<f64>,
    one: Vec<f64>,
    two: Vec<f64>,
    half: Vec<f64>,
}

impl Measured {
    fn rows(&self) -> Vec<Row> {
        let two_nulls = median(&over(&self.null_one, &self.null_two));
        let mut rows = vec![
            row("workers/null/2", "two bare loops, nothing shared", &self.null_two),
            row("workers/1", "one worker", &self.one),
            row("workers/2/owner", "two workers, packets come in at the owner", &self.two),
            row("workers/2/half", "two workers, half of the packets handed over", &self.half),
        ];
        for (row, times) in rows.iter_mut().zip([
            over(&self.null_one, &self.null_two),
            over(&self.one, &self.one),
            over(&self.one, &self.two),
            over(&self.one, &self.half),
        ]) {
            let (name, unit) = ("times one".into(), "x".into());
            row.extra.push(Extra { name, value: median(&times), unit });
        }
        let against = |values: &[f64]| over(values, &self.null_one);
        for (row, values) in rows[1..].iter_mut().zip([&self.one, &self.two, &self.half]) {
            row.ratios.push(Ratio { to: "null".into(), rounds: against(values) });
        }
        let kept = median(&over(&self.two, &self.half));
        let gained = median(&over(&self.one, &self.half));
        rows[3].bars = vec![
            Bar {
                text: ">= 0.8 x two workers without hand-over".into(),
                reached: format!("{} x", figure::digits(kept)),
                met: kept >= 0.8,
            },
            Bar {
                text: ">= 1.6 x one worker, where two bare loops reach 1.9 x".into(),
                reached: format!(
                    "{} x, two bare loops {} x",
                    figure::digits(gained),
                    figure::digits(two_nulls)
                ),
                met: gained >= 1.6 || two_nulls < 1.9,
            },
        ];
        rows
    }
}

fn over(values: &[f64], by: &[f64]) -> Vec<f64> {
    values.iter().zip(by).map(|(value, by)| value / by).collect()
}

fn row(id: &str, label: &str, values: &[f64]) -> Row {
    Row { label: label.into(), ..Row::of(id, GROUP, Unit::NsPerPacket, values) }
}

/// `count` bare loops at once.
fn nulls(count: usize) -> Result<f64> {
    let start = Start::new(count);
    let spent: Vec<Result<f64>> = start.together((0..count).collect(), |_, ready| {
        let mut null = Null::new();
        let mut template = Template::new(Kind::Udp, Family::V4, 0, SMALL)?;
        null.round(&mut template, 2);
        ready.wait();
        Ok(null.round(&mut template, BATCHES))
    });
    let spent = spent.into_iter().collect::<Result<Vec<f64>>>()?;
    Ok(spent.iter().sum::<f64>() / (count * count) as f64)
}

/// All packets come in at one worker and belong to the other: nothing may pile up.
fn one_way() -> Result<Row> {
    let mut crew = Crew::new(2, &Shape::default(), FLOWS)?;
    let mut millions = Vec::new();
    let mut resident = 0.0;
    while millions.len() * MILLION < ONE_WAY {
        // The first ones make the threads' stacks, which stay.
        if millions.len() == 2 {
            resident = super::footprint::resident_bytes()?;
        }
        let begun = now();
        crew.one_way(MILLION)?;
        millions.push(begun.elapsed().as_nanos() as f64 / MILLION as f64);
    }
    let grown = super::footprint::resident_bytes()? - resident;
    let census = crew.census();
    ensure!(census.balanced(), "frames are missing: {census:?}");
    let mut row = row("workers/one-way", "two workers, all packets handed over one way", &millions);
    let slower = millions[millions.len() - 1] / millions[1];
    row.bars = vec![
        Bar {
            text: "the last million of ten at most 15 % slower than the second".into(),
            reached: format!("{} x", figure::digits(slower)),
            met: slower <= SLOWDOWN,
        },
        Bar {
            text: "bounded memory".into(),
            reached: format!("{} MB more", figure::digits(grown / 1e6)),
            met: grown < 1e6,
        },
    ];
    row.notes.push("time for putting packets into the rings is part of this row".into());
    Ok(row)
}
