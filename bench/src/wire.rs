//! The wire: a client, a gateway and a server for each device under test, packets from a generator
//! in the kernel, and figures of all devices taken in turns. `docs/bench-wire.md` has the picture.

/// A client, a gateway and a server in a row.
pub mod rig;
/// Makes packets.
pub mod generator;
/// Devices under test.
pub mod peer;
/// What the kernel counts: packets, processor time.
pub mod count;
/// Gaps in which a processor was taken away.
pub mod gaps;
/// Packets through a device for a while.
pub mod rate;
/// Rounds become rows.
pub mod rows;
/// Everything that cases need.
pub mod bench;
/// UDP, as much as comes through.
pub mod udp;
/// TCP: connections, requests, downloads.
pub mod tcp;
/// What people see at once.
pub mod table;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::report::model::{Kind as RunKind, Machine, Run, SCHEMA};
use crate::stolen::now;
use bench::Bench;
use peer::Kind;

/// Length of a round of a rate.
const TIME: Duration = Duration::from_millis(1_500);

/// What to measure.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Rounds of each case; each device has its turn in each.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Write the run here as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
    /// Measure a second appliance, too, that wastes so many nanoseconds on each packet: shows
    /// that the figures tell.
    #[arg(long, value_name = "N", hide = true)]
    pub test_delay_ns: Option<u64>,
}

/// Measures, prints the table and writes the report.
///
/// # Errors
/// Without root, or when the lab or the appliance cannot be had.
pub fn run(options: &Options) -> Result<Run> {
    let begun = now();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut kinds =
        vec![Kind::Alone, Kind::Portreeve(0), Kind::Kernel, Kind::Nft, Kind::L2fwd, Kind::Haproxy];
    kinds.extend(options.test_delay_ns.map(Kind::Portreeve));
    let mut bench = Bench::set_up(&kinds, options.rounds, TIME)?;
    let mut rows = tcp::case(&mut bench, tcp::Doing::Connect)?;
    rows.extend(tcp::case(&mut bench, tcp::Doing::Ask)?);
    rows.extend(tcp::case(&mut bench, tcp::Doing::Bulk)?);
    if options.rounds > 2 {
        rows.extend(udp::rate(&mut bench, udp::SMALL)?);
    }
    let run = Run {
        schema: SCHEMA,
        kind: RunKind::Wire,
        started: started.map_or(0, |since| since.as_secs()),
        seconds: begun.elapsed().as_secs_f64(),
        commit: String::new(),
        machine: machine(),
        settings: std::collections::BTreeMap::new(),
        rows,
        notes: bench.notes.clone(),
    };
    table::print(&run);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&run).context("make JSON")?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(run)
}

/// As much as is easily known.
fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Machine {
        cpu: String::new(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory: 0,
        kernel: read("/proc/sys/kernel/osrelease"),
        virtual_machine: false,
        huge_pages: String::new(),
        last_level_cache: 0,
    }
}
