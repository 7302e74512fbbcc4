//! The wire: a client, a gateway and a server for each device under test, packets from a generator
//! in the kernel, and figures of all devices taken in turns. `docs/bench-wire.md` has the picture.

/// What can be asked for.
pub mod options;
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
/// Everything that cases need.
pub mod bench;
/// Packets through a device for a while.
pub mod rate;
/// Rounds become rows.
pub mod rows;
/// UDP, as much as comes through.
pub mod udp;
/// How long packets take.
pub mod latency;
/// The most that comes through without loss.
pub mod search;
/// TCP: connections, requests, downloads.
pub mod tcp;
/// Between two interfaces of this machine, against whatever lies between.
pub mod between;
/// Whether the harness itself works.
pub mod smoke;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::clock::now;
use crate::machine;
use crate::report::model::{Kind as RunKind, Row, Run, SCHEMA};
use crate::report::{self, json, markdown};
use bench::Bench;
pub use options::Options;
use options::Part;
use peer::Kind;

/// The devices in the order of the report.
const KINDS: [Kind; 9] = [
    Kind::Alone,
    Kind::Portreeve(0),
    Kind::PortreeveHuge,
    Kind::Kernel,
    Kind::Nft,
    Kind::L2fwd,
    Kind::L2fwdHuge,
    Kind::Testpmd,
    Kind::Haproxy,
];

/// Measures, prints the table and writes the report.
///
/// # Errors
/// Without root, or when the lab or the appliance cannot be had; when a check of the smoke test
/// fails.
pub fn run(options: &Options) -> Result<Run> {
    let begun = now();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut settings = settings(options);
    let (rows, notes) = if let Some(between) = options.between()? {
        (between::measure(&between, options)?, Vec::new())
    } else if options.smoke {
        (smoke::check()?, Vec::new())
    } else {
        let mut kinds = KINDS.to_vec();
        kinds.extend(options.test_delay_ns.map(Kind::Portreeve));
        let mut bench = Bench::set_up(&kinds, options.rounds.into(), options.time())?;
        let rows = parts(&mut bench, &options.parts())?;
        settings.extend(bench.settings());
        (rows, bench.notes)
    };
    let run = Run {
        schema: SCHEMA,
        kind: RunKind::Wire,
        started: started.map_or(0, |since| since.as_secs()),
        seconds: begun.elapsed().as_secs_f64(),
        commit: machine::commit(),
        machine: machine::here(),
        settings,
        rows,
        notes,
    };
    report::write_all(&run, &options.out)?;
    if let Some(file) = &options.json {
        json::write(&run, file)?;
    }
    println!("{}", markdown::render(&run));
    println!("report: {}", options.out.join("wire.html").display());
    Ok(run)
}

fn parts(bench: &mut Bench, parts: &[Part]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    // Loads of later parts are shares of this rate.
    let mut small = Vec::new();
    for part in parts {
        match part {
            Part::Udp64 => small = udp::rate(bench, udp::SMALL)?,
            Part::Udp1500 => rows.extend(udp::rate(bench, udp::LARGE)?),
            Part::UdpImix => rows.extend(udp::rate(bench, udp::IMIX)?),
            Part::Latency => {
                let half = latency::half(bench, &small);
                rows.extend(latency::latency(bench, &half)?);
            }
            Part::Search => rows.extend(search::search(bench, &small)?),
            Part::TcpConnections => rows.extend(tcp::case(bench, tcp::Doing::Connect)?),
            Part::TcpRequests => rows.extend(tcp::case(bench, tcp::Doing::Ask)?),
            Part::TcpBulk => rows.extend(tcp::case(bench, tcp::Doing::Bulk)?),
        }
    }
    small.extend(rows);
    Ok(small)
}

fn settings(options: &Options) -> BTreeMap<String, String> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let one = |name: &str, value: String| (name.to_owned(), value);
    BTreeMap::from([
        one("rounds", options.rounds.to_string()),
        one("seconds of a round", options.time().as_secs_f64().to_string()),
        one("warm-up in seconds", rate::WARM_UP.as_secs_f64().to_string()),
        one("load average before", load.trim().to_owned()),
    ])
}
