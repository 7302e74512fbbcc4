//! Memory: what so many flows take, and that no packet allocates.

use anyhow::{Context as _, Result};
use dataplane::addr::Family;

use super::case::{CASES, Case};
use super::established::establish;
use super::round::round;
use super::world::World;
use crate::allocations;
use crate::report::figure;
use crate::report::model::{Bar, Row, Unit};

/// Flows of the rows on resident memory.
const FLOWS: [(&str, u32); 2] = [("1m", 1_000_000), ("16m", 16_000_000)];
/// Design section 11.
const BAR_BYTES: f64 = 1.2e9;

/// Resident memory for 1 M and 16 M flows, and allocations per packet of every case.
///
/// # Errors
/// When a world cannot be made.
pub fn rows(progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (size, flows) in FLOWS {
        progress(&format!("resident memory, {size} flows"));
        rows.push(resident(size, flows)?);
    }
    for case in CASES.iter().filter(|case| case.flows <= 100_000) {
        progress(&format!("allocations, {}", case.id));
        rows.push(allocated(case)?);
    }
    Ok(rows)
}

fn row(id: String, label: String, unit: Unit, value: f64) -> Row {
    Row { label, ..Row::of(id, "Memory", unit, &[value]) }
}

fn resident(size: &str, flows: u32) -> Result<Row> {
    let case = CASES.iter().find(|case| case.flows == flows).context("a case of that size")?;
    let shape = super::world::Shape { flows: flows as usize, ..case.shape() };
    let before = resident_bytes()?;
    let mut world = World::new(&shape)?;
    // Half of the flows are enough: all pages are there from the start.
    establish(&mut world, Family::V4, &shape, flows / 64, |_| {})?;
    let bytes = resident_bytes()? - before;
    let label = format!("resident, flow table for {size} flows, rings and frames");
    let mut row = row(format!("resident/{size}"), label, Unit::Bytes, bytes);
    if size == "16m" {
        let table = super::world::config(&shape);
        let own =
            (table.flows * size_of::<dataplane::flow::Flow>()) as f64 + table.index_bytes() as f64;
        row.bars.push(Bar {
            text: "entries and both indexes <= 1.2 GB".into(),
            reached: format!("{} GB", figure::digits(own / 1e9)),
            met: own <= BAR_BYTES,
        });
    }
    Ok(row)
}

/// Pages of this process in memory, huge ones included.
///
/// # Errors
/// When the kernel does not say.
pub fn resident_bytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("read our own status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kib.context("VmRSS in our own status")? * 1_024.0)
}

fn allocated(case: &Case) -> Result<Row> {
    let (mut world, mut feed) = case.build(0)?;
    round(&mut world, feed.as_mut());
    let allocated = super::round::allocations_of(&mut world, feed.as_mut());
    let id = format!("allocations/{}", case.id);
    let label = format!("allocations per packet: {}", case.label);
    let mut row = row(id, label, Unit::Count, allocated);
    row.bars.push(Bar {
        text: "no allocation per packet".into(),
        reached: if allocations::counted() {
            figure::digits(allocated)
        } else {
            "not counted".into()
        },
        met: allocations::counted() && allocated == 0.0,
    });
    Ok(row)
}
