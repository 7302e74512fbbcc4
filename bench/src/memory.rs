//! The worker loop on simulated rings with real frames, on one core.

/// The worker that is measured, and the network around it.
pub mod world;
/// Packets of made-up clients.
pub mod packets;
/// One round: batches in, turns timed.
pub mod round;
/// `null` and `miss`.
pub mod yardstick;
/// Flows that are there already.
pub mod established;

use anyhow::Result;
use clap::Parser;
use dataplane::addr::Family;

use crate::report::model::Run;

/// What to measure.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Write the run here as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
}

/// Measures, prints the table and writes the report.
///
/// # Errors
/// When the worker cannot be set up, or a file not be written.
pub fn run(_options: &Options) -> Result<Run> {
    if let Some(id) = dataplane::worker::default_core() {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
    let mut null = yardstick::Null::new();
    let only: Option<u32> = std::env::var("FLOWS").ok().and_then(|t| t.parse().ok());
    for (family, flows) in [
        (Family::V4, 1_000),
        (Family::V6, 1_000),
        (Family::V4, 100_000),
        (Family::V4, 1_000_000),
        (Family::V6, 1_000_000),
    ] {
        if only.is_some_and(|o| o != flows) {
            continue;
        }
        let shape =
            world::Shape { flows: (flows as usize * 2).max(1 << 17), ..world::Shape::default() };
        let (mut world, mut feed) = established::Established::new(family, flows, 60, &shape)?;
        let mut template = packets::Template::new(packets::Kind::Udp, family, 0, 60)?;
        let mut miss = yardstick::Miss::new(world::config(&shape).bytes());
        let mut all = (vec![], vec![], vec![]);
        for _ in 0..std::env::var("ROUNDS").ok().and_then(|t| t.parse().ok()).unwrap_or(21) {
            all.0.push(null.round(&mut template, round::BATCHES));
            all.1.push(miss.round());
            all.2.push(round::round(&mut world, &mut feed).value);
        }
        use crate::stats::*;
        println!(
            "{family:?} {flows}: {:.1} ns ({:?}) null {:.1} miss {:.1}",
            median(&all.2),
            range(&all.2),
            median(&all.0),
            median(&all.1)
        );
    }
    anyhow::bail!("in the works")
}
