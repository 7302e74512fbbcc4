//! The worker loop on simulated rings with real frames, on one core.

/// The cases, in the order of the report.
pub mod case;
/// A case into a row.
pub mod measure;
/// One round: batches in, turns timed.
pub mod round;
/// The same case on small pages.
pub mod small_pages;
/// `null` and `miss`.
pub mod yardstick;
/// Where the time goes.
pub mod stages;
/// The bars of the design.
pub mod bars;
/// The worker that is measured, and the network around it.
pub mod world;
/// Packets of made-up clients.
pub mod packets;
/// Numbers that look random.
pub mod random;
/// Flows that are there already.
pub mod established;
/// Datagrams in pieces.
pub mod fragmented;
/// Flows that begin.
pub mod opening;
/// Packets that make no flow.
pub mod noise;
/// A round at a time, for whoever asks.
pub mod serve;
/// Maglev, compiling, publishing.
pub mod control;
/// The same from objects of a cluster.
mod cluster;
/// Several workers at once.
pub mod crew;
/// Resident memory, allocations.
pub mod footprint;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::clock::now;
use crate::machine;
use crate::report::model::{Kind, Row, Run, SCHEMA, Unit};
use crate::report::{self, json, markdown};
use case::{CASES, Case};
use measure::{Measured, PACKETS, measure, yardstick};

/// What to measure.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Rows whose id begins so; all of them when left out.
    #[arg(long, value_name = "ID")]
    pub case: Option<String>,
    /// Measures one case, a round for each line of standard input.
    #[arg(long, hide = true, requires = "case")]
    pub serve: bool,
    /// Rounds of each row.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(3..))]
    pub rounds: u16,
    /// Makes each packet slower by so many nanoseconds, to see whether it shows.
    #[arg(long, hide = true, default_value_t = 0)]
    pub test_delay_ns: u64,
    /// Write the run here as JSON, besides.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The directory of the report.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
}

/// Measures, prints the table and writes the report.
///
/// # Errors
/// When the worker cannot be set up, or a file not be written.
pub fn run(options: &Options) -> Result<()> {
    crew::look_at_cores();
    let core = dataplane::worker::last_cores(1).first().copied();
    if let Some(id) = core {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
    if let (true, Some(id)) = (options.serve, &options.case) {
        return serve::serve(serve::case(id)?, options.test_delay_ns);
    }
    let begun = now();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let progress = |what: &str| eprintln!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
    let rows = rows(options, &progress)?;
    let mut settings = BTreeMap::new();
    settings.insert("rounds".to_owned(), options.rounds.to_string());
    if options.test_delay_ns > 0 {
        settings.insert("delay, ns per packet".to_owned(), options.test_delay_ns.to_string());
    }
    settings.insert("packets per round".to_owned(), PACKETS.to_string());
    settings.insert("core".to_owned(), core.map_or("any".to_owned(), |core| core.to_string()));
    let run = Run {
        schema: SCHEMA,
        kind: Kind::Memory,
        started,
        seconds: begun.elapsed().as_secs_f64(),
        commit: machine::commit(),
        machine: machine::here(),
        settings,
        rows,
        notes: Vec::new(),
    };
    report::write_all(&run, &options.out)?;
    if let Some(file) = &options.json {
        json::write(&run, file)?;
    }
    println!("{}", markdown::render(&run));
    println!("report: {}", options.out.join("memory.html").display());
    Ok(())
}

fn rows(options: &Options, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let wanted = |id: &str| options.case.as_ref().is_none_or(|case| id.starts_with(case.as_str()));
    let mut rows = packet_rows(options, &wanted, progress)?;
    let mut others = Vec::new();
    if wanted("maglev") || wanted("compile") {
        others.extend(control::rows(usize::from(options.rounds).min(11), progress)?);
    }
    if wanted("cluster") {
        others.extend(cluster::rows(control::MANY, progress)?);
    }
    if wanted("workers") {
        others.extend(crew::rows(usize::from(options.rounds).min(11), progress)?);
    }
    if wanted("resident") || wanted("allocations") {
        others.extend(footprint::rows(progress)?);
    }
    others.retain(|row| wanted(&row.id));
    rows.extend(others);
    rows.first().context("no row has an id that begins so")?;
    Ok(rows)
}

/// The rows of packets, with the yardsticks that were measured beside them in front.
fn packet_rows(
    options: &Options,
    wanted: &dyn Fn(&str) -> bool,
    progress: &dyn Fn(&str),
) -> Result<Vec<Row>> {
    let mut null = yardstick::Null::new();
    let mut rows = Vec::new();
    let mut nulls = Vec::new();
    let mut misses: BTreeMap<u32, (&str, Vec<f64>)> = BTreeMap::new();
    for case in CASES.iter().filter(|case| case.is_wanted(wanted)) {
        progress(case.id);
        let Measured { rows: measured, null, miss } = measure(case, &mut null, options)?;
        nulls.extend(null);
        if !miss.is_empty() {
            misses.entry(case.flows).or_insert((size(case), Vec::new())).1.extend(miss);
        }
        rows.extend(measured);
    }
    let mut all = Vec::new();
    if !nulls.is_empty() {
        let label = "null: the same rings, MAC addresses written";
        all.push(yardstick("yardstick/null", label, &nulls, Unit::NsPerPacket));
    }
    for (flows, (size, rounds)) in misses {
        let label = format!("miss: one dependent read, table of {flows} flows");
        let mut row = yardstick(&format!("yardstick/miss/{size}"), &label, &rounds, Unit::Ns);
        let (name, unit) = ("flows".to_owned(), String::new());
        row.extra.push(report::model::Extra { name, value: f64::from(flows), unit });
        all.push(row);
    }
    all.extend(rows);
    Ok(all)
}

fn size(case: &Case) -> &'static str {
    report::basis::last_word(case.id)
}
