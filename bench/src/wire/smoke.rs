use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::bench::{Bench, say};
use super::peer::Kind;
use super::udp;
use crate::pages::reserved::size;
use crate::report::believed::Summary;
use crate::report::model::Row;

const ROUNDS: usize = 2;
const TIME: Duration = Duration::from_millis(500);
/// What the slowed appliance wastes on each packet, in nanoseconds.
const DELAY_NS: u64 = 3_000;
/// Even a machine that is busy otherwise forwards so many packets per second.
const LEAST: f64 = 20_000.0;
/// The most that a worker can do that wastes [`DELAY_NS`] on each packet.
const SLOWED_MOST: f64 = 1e9 / DELAY_NS as f64;

/// Sees whether frames flow, whether an appliance that is slow on purpose shows as slower, and whether
/// the machine's huge pages are left as they were.
///
/// # Errors
/// When they do not, or it does not.
pub fn check() -> Result<Vec<Row>> {
    let kinds = [
        Kind::Alone,
        Kind::Portreeve(0),
        Kind::PortreeveHuge,
        Kind::Kernel,
        Kind::Portreeve(DELAY_NS),
    ];
    let reserved = size().ok();
    let mut bench = Bench::set_up(&kinds, ROUNDS, TIME)?;
    let rows = udp::rate(&mut bench, udp::SMALL)?;
    let rate = |kind: Kind| {
        let id = format!("{}/{}", udp::SMALL.case.id, kind.id());
        let row = rows.iter().find(|row| row.id == id).with_context(|| format!("no row {id}"))?;
        Ok::<_, anyhow::Error>(Summary::of_row(row).median)
    };
    // What cannot be had on this machine has been left out, loudly.
    for kind in bench.devices.iter().map(|one| one.kind) {
        let reached = rate(kind)?;
        ensure!(reached > LEAST, "{}: only {reached:.0} packets/s", kind.label());
    }
    let (own, slowed) = (rate(Kind::Portreeve(0))?, rate(Kind::Portreeve(DELAY_NS))?);
    ensure!(slowed < own, "slowed to {slowed:.0} packets/s, and not slower than {own:.0}");
    ensure!(slowed < SLOWED_MOST, "slowed to {slowed:.0} packets/s, which cannot be");
    drop(bench);
    ensure!(
        size().ok() == reserved,
        "{reserved:?} huge pages were reserved, now {:?}",
        size().ok()
    );
    say("the harness works");
    Ok(rows)
}
