//! Everything that clients do, in every set-up that matters: both families, small and jumbo links, one
//! and several workers. A dozen set-ups cover each two values together; with `PORTREEVE_FULL=1` all run.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::converse::converse;
use portreeve_tests::curl;
use portreeve_tests::flat::{self, FlatLab};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;

const REQUESTS: usize = 2_000;
const CURLS: usize = 4;
const CONNECTIONS: usize = 500;
const DOWNLOAD: u64 = 50_000_000;
const DATAGRAMS: usize = 5_000;
const DATAGRAMS_PER_SECOND: u32 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setup {
    mode: &'static str,
    v6: bool,
    workers: u32,
    mtu: u32,
}

const MODES: [&str; 3] = ["snat", "nat", "dsr-l2"];
const WORKERS: [u32; 3] = [1, 2, 4];
const MTUS: [u32; 2] = [1_500, 9_001];

fn all() -> Vec<Setup> {
    let mut all = Vec::new();
    for mode in MODES {
        for v6 in [false, true] {
            for workers in WORKERS {
                for mtu in MTUS {
                    all.push(Setup { mode, v6, workers, mtu });
                }
            }
        }
    }
    all
}

/// Every two values of two settings, as a set of pairs that a set-up covers.
fn pairs(setup: &Setup) -> Vec<String> {
    let Setup { mode, v6, workers, mtu } = setup;
    let values = [mode.to_string(), format!("v6 {v6}"), workers.to_string(), mtu.to_string()];
    let mut pairs = Vec::new();
    for (at, one) in values.iter().enumerate() {
        pairs.extend(values[at + 1..].iter().map(|other| format!("{one} with {other}")));
    }
    pairs
}

/// Few set-ups that cover each two values together: greedily, the one that adds most comes next.
fn covering() -> Vec<Setup> {
    let all = all();
    let mut missing: std::collections::BTreeSet<String> = all.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let adds = |setup: &&Setup| pairs(setup).iter().filter(|p| missing.contains(*p)).count();
        let Some(best) = all.iter().rev().max_by_key(adds) else { break };
        for pair in pairs(best) {
            missing.remove(&pair);
        }
        chosen.push(*best);
    }
    chosen
}

fn config(setup: &Setup) -> String {
    let both = r#"{ port = 80 }, { port = 7, protocol = "udp" }"#;
    let (vip, servers) = place(setup);
    format!("[worker]\ncount = {}\n", setup.workers)
        + &if setup.is_flat() { ports(&[flat::PORT]) } else { ports(&seed::PORTS) }
        + &service(vip, &servers, both)
        + &format!("mode = \"{}\"\n", setup.mode)
}

impl Setup {
    /// In mode `dsr-l2` everybody is on one link; else every server has a link of its own.
    fn is_flat(&self) -> bool {
        self.mode == "dsr-l2"
    }
}

fn place(setup: &Setup) -> (&'static str, [&'static str; 2]) {
    let family = usize::from(setup.v6);
    if setup.is_flat() {
        (flat::VIPS[family], flat::SERVERS[family])
    } else {
        ([seed::VIPS[0], seed::VIPS_V6[0]][family], [seed::SERVERS, seed::SERVERS_V6][family])
    }
}

fn run(setup: &Setup) -> Result<()> {
    let lab = Lab::new("lb_matrix")?;
    let options = LinkOptions { mtu: setup.mtu, queues: setup.workers };
    if setup.is_flat() {
        let net = FlatLab::build(&lab, options)?;
        everything_works(setup, &net.client, &net.gateway)
    } else {
        let net = SeedLab::build(&lab, options)?;
        everything_works(setup, &net.client, &net.gateway)
    }
}

fn everything_works(setup: &Setup, client: &Host, gateway: &Host) -> Result<()> {
    let appliance = Appliance::start(gateway, &config(setup))?;
    let before = KernelCounters::read(gateway)?;
    let vip: IpAddr = place(setup).0.parse()?;
    let everything = || {
        let target = SocketAddr::new(vip, seed::HTTP);
        let urls = vec![format!("http://{target}/"); REQUESTS];
        let answers = curl::get_parallel(client, &urls, CURLS)?;
        let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).take(5).collect();
        ensure!(failed.is_empty(), "requests failed: {failed:?}");
        client.enter(|| converse(target, CONNECTIONS))?.context("connections")?;
        let url = format!("http://{target}/data/{DOWNLOAD}");
        let (digest, _) = traffic::download(client, &url).context("download")?;
        ensure!(digest == traffic::expected_sha256(DOWNLOAD)?, "the download came damaged");
        let echo = SocketAddr::new(vip, seed::ECHO);
        let echoed = traffic::echo(client, echo, DATAGRAMS, 1_400, DATAGRAMS_PER_SECOND)?;
        ensure!(echoed.intact == DATAGRAMS && echoed.strange == 0, "datagrams: {echoed:?}");
        before.stood_by(gateway)
    };
    appliance.explain(gateway, everything())?;
    handed_over_as_expected(&appliance.json(gateway, &["status"])?, setup)
}

/// The queue that a packet comes in on says nothing of its owner, so with several workers some packets
/// of every worker belong to every other.
fn handed_over_as_expected(status: &serde_json::Value, setup: &Setup) -> Result<()> {
    let workers = status["workers"].as_array().context("no workers")?;
    ensure!(workers.len() == setup.workers as usize, "{} workers", workers.len());
    for (from, worker) in workers.iter().enumerate() {
        let handed = worker["handed_out"].as_array().context("no handed_out")?;
        for (to, packets) in handed.iter().enumerate() {
            let packets = packets.as_u64().context("a count")?;
            // A bridge does not spread what it forwards over all queues.
            let some = packets > 0 || setup.is_flat() && from != to;
            ensure!(some == (from != to), "{packets} packets from {from} to {to}");
        }
    }
    let frames = &status["frames"];
    let sum: u64 = ["pool", "rx", "tx", "waiting", "between"]
        .iter()
        .filter_map(|part| frames[part].as_u64())
        .sum();
    ensure!(Some(sum) == frames["total"].as_u64(), "frames are missing: {frames}");
    Ok(())
}

#[test]
fn everything_works_in_every_set_up() -> Result<()> {
    if !has_root("everything_works_in_every_set_up") {
        return Ok(());
    }
    let full = std::env::var_os("PORTREEVE_FULL").is_some();
    let setups = if full { all() } else { covering() };
    for (at, setup) in setups.iter().enumerate() {
        println!("{} of {}: {setup:?}", at + 1, setups.len());
        run(setup).with_context(|| format!("{setup:?}"))?;
    }
    Ok(())
}

#[test]
fn the_chosen_set_ups_cover_each_two_values_together() {
    let covered: std::collections::BTreeSet<_> = covering().iter().flat_map(pairs).collect();
    assert_eq!(covered, all().iter().flat_map(pairs).collect());
    assert!(covering().len() <= 14, "{}", covering().len());
}
