//! A case into a row: warm-up, rounds in turn with the yardsticks, stages, bursts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use dataplane::tables::Tables;
use dataplane::tables::publish::Publisher;

use super::Options;
use super::bars::Reached;
use super::case::{Case, Load};
use super::packets::{Kind, SMALL, Template};
use super::round::{BATCH, BATCHES, bursts, round};
use super::small_pages::{Subject, tell_apart};
use super::stages::stages;
use super::world::{World, config, routing};
use super::yardstick::{Miss, Null};
use crate::report::model::{Extra, Ratio, Round, Row, Unit};
use crate::stats::median;

/// Bursts that are timed one by one.
const BURSTS: usize = 4_096;
/// Time between two tables while they are swapped.
const SWAP: Duration = Duration::from_millis(10);

/// Rows, and what the yardsticks came to meanwhile.
pub struct Measured {
    /// The row, and behind it the one on small pages where there is one.
    pub rows: Vec<Row>,
    /// Rounds of `null`, ns per packet.
    pub null: Vec<f64>,
    /// Rounds of `miss` with a table of the row's size, ns per read; none where no flow is met.
    pub miss: Vec<f64>,
}

/// Measures a case.
///
/// # Errors
/// When its world cannot be made.
pub fn measure(case: &Case, null: &mut Null, options: &Options) -> Result<Measured> {
    let mut subject = Subject::of(case, options.test_delay_ns)?;
    let mut template = Template::new(Kind::Udp, case.family, 0, SMALL)?;
    let mut miss = case.is_of_flows().then(|| Miss::new(config(&case.shape()).bytes()));
    // Last of all: from here on there are no huge pages for anybody.
    let mut twin = Subject::on_small_pages(case, options.test_delay_ns)?;
    let mut measured = Rounds::default();
    let mut all = |world: &mut World| {
        for _ in 0..options.rounds {
            measured.null.push(null.round(&mut template, BATCHES));
            measured.miss.extend(miss.as_mut().map(Miss::round));
            measured.own.push(round(world, subject.feed.as_mut()));
            measured.twin.extend(twin.as_mut().map(Subject::round));
        }
    };
    if matches!(case.load, Load::Swaps) {
        swapping(&mut subject.world, case, all)
    } else {
        all(&mut subject.world)
    }
    drop(miss);
    let Rounds { own, twin: on_small, null, miss } = measured;
    let mut rows = vec![finished(row(case, own, &null, &miss), case, &mut subject)];
    if let (Some(id), Some(twin)) = (case.small_pages, &mut twin) {
        let case = Case { id, ..*case };
        let mut row = finished(row(&case, on_small, &null, &miss), &case, twin);
        tell_apart((&mut rows[0], &mut row), &subject, twin);
        rows.push(row);
    }
    Ok(Measured { rows, null, miss })
}

/// Adds what is measured after the rounds: bursts, stages.
fn finished(row: Row, case: &Case, subject: &mut Subject) -> Row {
    let Subject { world, feed, .. } = subject;
    let latency = Some(bursts(world, feed.as_mut(), BURSTS));
    let timed = case.has_stages().then(|| stages(world, feed.as_mut(), case.port()));
    Row { latency, stages: timed.unwrap_or_default(), notes: notes(world), ..row }
}

#[derive(Default)]
struct Rounds {
    own: Vec<Round>,
    twin: Vec<Round>,
    null: Vec<f64>,
    miss: Vec<f64>,
}

fn row(case: &Case, rounds: Vec<Round>, null: &[f64], miss: &[f64]) -> Row {
    let values: Vec<f64> = rounds.iter().map(|round| round.value).collect();
    let over = |yardstick: &[f64]| -> Vec<f64> {
        values.iter().zip(yardstick).map(|(value, one)| value / one).collect()
    };
    let (by_null, by_miss) = (over(null), over(miss));
    let believed = |values: &[f64]| {
        let pairs = values.iter().zip(&rounds);
        let good: Vec<f64> =
            pairs.filter(|(_, r)| !r.unreliable).map(|(value, _)| *value).collect();
        median(if good.is_empty() { values } else { &good })
    };
    let ns = believed(&values);
    let reached = Reached { ns, null: believed(&by_null), miss: believed(&by_miss) };
    let mut ratios = vec![Ratio { to: "null".into(), rounds: by_null }];
    if !by_miss.is_empty() {
        ratios.push(Ratio { to: "miss".into(), rounds: by_miss });
    }
    let extra =
        |name: &str, value, unit: &str| Extra { name: name.into(), value, unit: unit.into() };
    let mut extras = vec![extra("one core", 1_000.0 / ns, "Mpps")];
    if case.is_of_flows() {
        extras.push(extra("flows", f64::from(case.flows), ""));
    }
    Row {
        label: case.label.into(),
        rounds,
        ratios,
        extra: extras,
        bars: case.bars(reached),
        ..Row::of(case.id, case.group, Unit::NsPerPacket, &[])
    }
}

/// What was dropped, of which there should be nothing on established flows.
fn notes(world: &World) -> Vec<String> {
    let drops = world.drops();
    if drops.is_empty() {
        return Vec::new();
    }
    let drops: Vec<String> =
        drops.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    vec![format!("dropped in all rounds together: {}", drops.join(", "))]
}

/// Publishes tables with other routes and services a hundred times a second while `work` runs.
fn swapping(world: &mut World, case: &Case, work: impl FnOnce(&mut World)) {
    let Some(mut publisher) = world.publisher.take() else { return work(world) };
    let done = AtomicBool::new(false);
    publisher = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut generation = 1;
            while !done.load(Ordering::Relaxed) {
                generation += 1;
                publish(&mut publisher, case, generation);
                std::thread::sleep(SWAP);
            }
            publisher
        });
        work(world);
        done.store(true, Ordering::Relaxed);
        publishing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    world.publisher = Some(publisher);
}

fn publish(publisher: &mut Publisher<Tables>, case: &Case, generation: u16) {
    let shape = case.shape();
    let next = Tables {
        routing: std::sync::Arc::new(routing(&shape, generation)),
        ..publisher.current().clone()
    };
    publisher.publish(next);
}

/// Packets of one round, for the head of the report.
pub const PACKETS: usize = BATCH * BATCHES;

/// The rows of the yardsticks themselves.
#[must_use]
pub fn yardstick(id: &str, label: &str, rounds: &[f64], unit: Unit) -> Row {
    Row { label: label.into(), ..Row::of(id, "Yardsticks", unit, rounds) }
}
