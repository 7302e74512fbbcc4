//! Runs to test with, and to look at. Their figures are made up.

use std::collections::BTreeMap;

use super::model::{Bar, Extra, Kind, Latency, Machine, Ratio, Row, Run, SCHEMA, Stage, Unit};

/// A row of these rounds and nothing else.
pub fn row(id: &str, unit: Unit, values: &[f64]) -> Row {
    let mut row = Row { label: id.replace('/', " "), ..Row::of(id, "Everything", unit, values) };
    row.rounds.iter_mut().for_each(|round| round.stolen_us = 12.5);
    row
}

/// A run in memory of these rows.
pub fn run_of(rows: Vec<Row>) -> Run {
    Run {
        schema: SCHEMA,
        kind: Kind::Memory,
        started: 1_767_225_600,
        seconds: 754.6,
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        machine: Machine {
            cpu: "An <Example> & Co. CPU".into(),
            cores: 2,
            memory: 16 << 30,
            kernel: "6.12.0".into(),
            virtual_machine: true,
            huge_pages: "transparent: madvise; reserved: 0 of 2048 KiB".into(),
            last_level_cache: 32 << 20,
        },
        settings: BTreeMap::from([("burst".into(), "64".into())]),
        rows,
        notes: Vec::new(),
    }
}

/// Rounds around `middle` that differ by a few percent, the same each time.
pub fn around(middle: f64) -> Vec<f64> {
    let factors = [1.0, 0.99, 1.02, 0.985, 1.005, 1.03, 0.995, 1.01, 0.99, 1.0];
    factors.iter().map(|factor| middle * factor).collect()
}

const SIZES: [(&str, f64, f64); 4] =
    [("1k", 1e3, 1.0), ("64k", 65_536.0, 1.4), ("1m", 1e6, 2.2), ("16m", 1.6e7, 3.1)];

/// A run in memory with everything that a run can have.
pub fn memory() -> Run {
    let mut null = row("yardstick/null", Unit::NsPerPacket, &around(8.2));
    null.label = "null: the same rings, MAC addresses swapped".into();
    let mut rows = vec![null];
    rows.extend(series("yardstick/miss", "one read that misses", "Yardsticks", 11.0));
    rows.extend(series("established/ipv4/64", "IPv4, 64 B", "Established flows", 24.0));
    rows.extend(series("established/ipv6/64", "IPv6, 64 B", "Established flows", 33.0));
    rows[0].group = "Yardsticks".into();
    let mut fill = row("flows/16m", Unit::Bytes, &[1.1 * 1024.0 * 1024.0 * 1024.0]);
    (fill.group, fill.label) = ("Memory".into(), "16 M IPv4 flows, <both> indexes".into());
    fill.bars = vec![Bar { text: "<= 1.2 GB".into(), reached: "1.18 GB".into(), met: true }];
    rows.push(fill);
    rows[5].rounds[3].unreliable = true;
    rows[5].rounds[3].stolen_us = 4_200.0;
    let mut run = run_of(rows);
    run.notes = vec!["No huge pages are reserved: large tables lie on 4 KiB pages.".into()];
    run
}

fn series(prefix: &str, label: &str, group: &str, ns: f64) -> Vec<Row> {
    SIZES.iter().map(|size| of_size(*size, (prefix, label, group), ns)).collect()
}

fn of_size((size, flows, factor): (&str, f64, f64), names: (&str, &str, &str), ns: f64) -> Row {
    let (prefix, label, group) = names;
    let ns = ns * factor;
    let mut row = row(&format!("{prefix}/{size}"), Unit::NsPerPacket, &around(ns));
    (row.group, row.label) = (group.into(), format!("{label}, {size} flows"));
    row.extra = vec![Extra { name: "flows".into(), value: flows, unit: String::new() }];
    if prefix.starts_with("yardstick") {
        return row;
    }
    let ratio = |to: &str, by: f64| Ratio { to: to.into(), rounds: around(ns / by) };
    row.ratios = vec![ratio("null", 8.2), ratio("miss", 11.0 * factor)];
    let rate = Extra { name: "Mpps per core".into(), value: 1e3 / ns, unit: "M packets/s".into() };
    row.extra.push(rate);
    row.latency = Some(latency("a burst of 64", 64.0 * ns));
    let shares = [("rings", 0.3), ("parse", 0.12), ("classify", 0.13), ("stage", 0.25)];
    let stage = |(name, share): &(&str, f64)| Stage { name: (*name).into(), ns: ns * share };
    row.stages = shares.iter().chain(&[("rewrite and tx", 0.2)]).map(stage).collect();
    let reached = format!("{ns:.1} ns");
    row.bars = vec![Bar { text: "<= 60 ns".into(), reached, met: ns <= 60.0 }];
    row
}

fn latency(of: &str, ns: f64) -> Latency {
    let points = [(0.0, 0.9), (50.0, 1.0), (75.0, 1.05), (90.0, 1.2), (99.0, 1.9), (99.9, 4.0)];
    let tail = [(99.99, 20.0), (99.999, 33.0), (100.0, 60.0)];
    let scaled = points.iter().chain(&tail).map(|(at, times)| (*at, (ns * times) as u64));
    let (count, max_ns) = (1_000_000, (ns * 60.0) as u64);
    Latency { of: of.into(), count, max_ns, percentiles: scaled.collect() }
}

/// A run on the wire.
pub fn wire() -> Run {
    let mut rows = Vec::new();
    let peers = [("portreeve", 1.05e6), ("nft", 0.62e6), ("kernel", 0.98e6), ("l2fwd", 1.12e6)];
    let udp = ("UDP, 64 B", "udp/64", Unit::PacketsPerSecond);
    rows.extend(peers.map(|(peer, rate)| on_the_wire(udp, peer, rate)));
    let peers = [("portreeve", 41_000.0), ("haproxy", 27_500.0), ("nft", 40_200.0)];
    let tcp = ("TCP, new connections", "tcp/new", Unit::ConnectionsPerSecond);
    rows.extend(peers.map(|(peer, rate)| on_the_wire(tcp, peer, rate)));
    for at in [0, 4] {
        let own = rows[at].clone();
        let group = rows[at].group.clone();
        let others = rows.iter().filter(|row| row.group == group && row.id != own.id);
        let by = |other: &Row| own.rounds[0].value / other.rounds[0].value;
        rows[at].ratios =
            others.map(|other| Ratio { to: other.id.clone(), rounds: around(by(other)) }).collect();
        let reached = "1.69 x nft".into();
        rows[at].bars = vec![Bar { text: ">= 1.4 x nft".into(), reached, met: at == 0 }];
    }
    rows[3].notes = vec!["The generator was the limit.".into()];
    let mut run = run_of(rows);
    run.kind = Kind::Wire;
    run
}

fn on_the_wire((group, id, unit): (&str, &str, Unit), peer: &str, rate: f64) -> Row {
    let mut row = row(&format!("{id}/{peer}"), unit, &around(rate));
    (row.group, row.label) = (group.into(), format!("{peer}, {group}"));
    let name = "CPU-s per million packets".into();
    row.extra = vec![Extra { name, value: 1.9e6 / rate, unit: "s".into() }];
    row.latency = Some(latency("round trip at half load", 4e10 / rate));
    row
}

/// A run that fits on a screen.
pub fn small() -> Run {
    let mut null = row("yardstick/null", Unit::NsPerPacket, &[8.2, 8.1, 8.4]);
    (null.group, null.label) = ("Yardsticks".into(), "null".into());
    let mut own = of_size(SIZES[0], ("established/ipv4/64", "IPv4, 64 B", "Established"), 24.0);
    own.rounds.truncate(3);
    own.ratios.iter_mut().for_each(|ratio| ratio.rounds.truncate(3));
    own.rounds[2].unreliable = true;
    own.notes = vec!["Without huge pages.".into()];
    let mut run = run_of(vec![null, own]);
    run.notes = vec!["The machine was\nnot idle.".into()];
    run
}

/// Writes the reports of the examples, for eyes: a test cannot tell whether a plot reads well.
#[test]
#[ignore = "writes files to look at below target/report-example"]
fn examples_are_written_to_look_at() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/report-example");
    for run in [memory(), wire()] {
        super::write_all(&run, dir.as_ref()).unwrap();
    }
}
