//! A flood of SYNs from random sources: connections that are established stay, new ones succeed, and
//! nothing grows. How hard it is follows from what the same servers bear without us.

use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::connections::Crowd;
use portreeve_tests::flood::{Poured, SynFlood};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::newcomers::Newcomers;
use portreeve_tests::process::allow_many_files;
use portreeve_tests::raw_port::RawPort;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use serde_json::Value;

const SEED: u64 = 0x706f_7274_7265_6577;
const ESTABLISHED: usize = 2_000;
/// Between two questions of a thread: each connection asks every three seconds or so.
const PACE: Duration = Duration::from_millis(10);
/// New connections a second, all along.
const NEWCOMERS: u32 = 20;
/// Which share of them has to be answered.
const SHARE: f64 = 0.95;
/// SYNs a second with which the servers are tried by themselves; half of the last is enough.
const LADDER: [f64; 5] = [50e3, 100e3, 200e3, 300e3, 400e3];
const STEP: Duration = Duration::from_secs(5);
const MOST: f64 = 200e3;
/// The same for programs that are not built to be fast, on a machine that does other things.
const MOST_IN_BRIEF: f64 = 50e3;
/// SYNs a second where it is the quotas alone that are looked at, and for how long.
const MODEST: f64 = 20e3;
const BRIEF: Duration = Duration::from_secs(5);
/// A generator that does less than this share of what is asked has shown what it can.
const EFFORT: f64 = 0.9;
/// How often the servers are tried anew when the machine has become slower since.
const ROUNDS: usize = 3;
/// By how much the process may grow: pages that are written to for the first time. In KiB.
const GROWTH: u64 = 2_048;
/// Ports towards a backend from an address that is shared with the host (`configs/full.toml`).
const SHARED_PORTS: u64 = 4_536;
/// Time for the last packets to be done with.
const SETTLE: Duration = Duration::from_secs(20);

/// SYNs a second at most, and for how long.
fn limits() -> (f64, Duration) {
    match std::env::var_os("PORTREEVE_FULL") {
        Some(_) => (MOST, Duration::from_secs(30)),
        None => (MOST_IN_BRIEF, Duration::from_secs(10)),
    }
}

fn http(addresses: &[&str]) -> Result<Vec<SocketAddr>> {
    let at = |ip: &&str| Ok(SocketAddr::new(ip.parse::<IpAddr>()?, seed::HTTP));
    addresses.iter().map(at).collect()
}

/// The lab, in which answers to strangers go to the client's host, which drops them.
fn build(lab: &Lab, queues: u32) -> Result<SeedLab> {
    let net = SeedLab::build(lab, LinkOptions { queues, ..LinkOptions::default() })?;
    net.gateway.route("default", seed::CLIENT)?;
    net.gateway.route("default", seed::CLIENT_V6)?;
    Ok(net)
}

/// Floods `targets` at `rate` while `work` runs, which is told when it is over after `time`; newcomers
/// to the same come all along.
fn flood<T: Send>(
    net: &SeedLab,
    targets: &[SocketAddr],
    (rate, time): (f64, Duration),
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send,
) -> Result<(Poured, Newcomers, T)> {
    let port = RawPort::open(&net.client, "ens5")?;
    let macs = [net.client.mac_bytes("ens5")?, net.gateway.mac_bytes(seed::PORTS[0])?];
    let syns = SynFlood::new(SEED, macs[0], macs[1], targets.to_vec());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let poured = scope.spawn(|| syns.pour(&port, rate, &over));
        let came = scope.spawn(|| Newcomers::watch(&net.client, targets, NEWCOMERS, &over));
        let worked = scope.spawn(|| work(&over));
        std::thread::sleep(time);
        over.store(true, Ordering::Release);
        let poured = poured.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        let came = came.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        let worked = worked.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((poured, came, worked))
    })
}

fn report(what: &str, poured: &Poured, came: &Newcomers) {
    println!(
        "{what}: {:.0} SYNs/s for {:.1?}; {} of {} newcomers answered ({:.1} %), {} at once, the \
         slowest in {:.0?}{}",
        poured.rate(),
        poured.took,
        came.answered,
        came.came,
        came.share() * 100.0,
        came.at_once,
        came.longest,
        came.failures.first().map_or(String::new(), |why| format!("; {why}")),
    );
}

/// The highest rate at which the servers, asked past us through the gateway's kernel, answer newcomers.
/// What the generator sends, the kernel carries on the generator's core, servers included; the workers
/// have other cores.
fn what_servers_bear(servers: &[&str]) -> Result<f64> {
    let lab = Lab::new("lb_flood_control")?;
    let net = build(&lab, 1)?;
    let targets = http(servers)?;
    let mut borne = 0.0;
    for rate in LADDER {
        let (poured, came, ()) = flood(&net, &targets, (rate, STEP), |_| Ok(()))?;
        report(&format!("servers alone, asked for {rate:.0}/s"), &poured, &came);
        if came.share() < SHARE {
            break;
        }
        borne = poured.rate();
        if borne < rate * EFFORT {
            break;
        }
    }
    ensure!(borne > 0.0, "the servers do not even bear {:.0}/s", LADDER[0]);
    Ok(borne)
}

fn number(value: &Value, path: &str) -> Result<u64> {
    value.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path}: {value}"))
}

/// What the appliance says of its flows, and how large its process is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    flows: u64,
    half_open: u64,
    evicted: u64,
    rss_kib: u64,
}

impl Size {
    fn read(appliance: &Appliance, gateway: &Host) -> Result<Self> {
        let status = appliance.json(gateway, &["status"])?;
        let mut size = Self::default();
        for worker in status["workers"].as_array().context("no workers")? {
            size.flows += number(worker, "/flows")?;
            size.half_open += number(worker, "/half_open")?;
            size.evicted += number(worker, "/half_open_evicted")?;
        }
        let path = format!("/proc/{}/status", appliance.process()?.pid());
        let text = std::fs::read_to_string(&path).context(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib = line.trim().trim_end_matches(" kB");
        size.rss_kib = kib.parse().with_context(|| format!("VmRSS {line}"))?;
        Ok(size)
    }
}

/// The largest that it became, looked at four times a second.
fn watch_size(appliance: &Appliance, gateway: &Host, over: &AtomicBool) -> Result<Size> {
    let mut most = Size::default();
    while !over.load(Ordering::Acquire) {
        let now = Size::read(appliance, gateway)?;
        most.flows = most.flows.max(now.flows);
        most.half_open = most.half_open.max(now.half_open);
        most.rss_kib = most.rss_kib.max(now.rss_kib);
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(most)
}

/// Every frame is somewhere: waits until none is to be sent.
fn frames_balance(appliance: &Appliance, gateway: &Host) -> Result<()> {
    let begun = Instant::now();
    loop {
        let frames = &appliance.json(gateway, &["status"])?["frames"];
        let parts = ["/pool", "/rx", "/tx", "/waiting", "/between"];
        let held = parts.iter().map(|part| number(frames, part)).sum::<Result<u64>>()?;
        if held == number(frames, "/total")? && number(frames, "/tx")? == 0 {
            return Ok(());
        }
        ensure!(begun.elapsed() < SETTLE, "frames are missing: {frames}");
        // There is no event to wait for: the appliance tells when it is asked.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is flooded.
#[derive(Debug, Clone, Copy)]
struct Trial {
    mode: &'static str,
    vip: &'static str,
    servers: [&'static str; 2],
    workers: u32,
    flows: u64,
    /// Half-open flows, at most.
    quota: u64,
}

impl Trial {
    fn config(&self) -> String {
        let Self { mode, workers, flows, .. } = self;
        format!("[worker]\ncount = {workers}\nflows = {flows}\n")
            + &ports(&seed::PORTS)
            + &service(self.vip, &self.servers, "{ port = 80 }")
            + &format!("mode = \"{mode}\"\n")
    }

    fn withstands(&self, rate: f64, time: Duration) -> Result<()> {
        allow_many_files();
        let lab = Lab::new("lb_flood")?;
        let net = build(&lab, self.workers)?;
        let appliance = Appliance::start(&net.gateway, &self.config())?;
        appliance.explain(&net.gateway, self.run(&net, &appliance, rate, time))
    }

    fn run(&self, net: &SeedLab, appliance: &Appliance, rate: f64, time: Duration) -> Result<()> {
        let gateway = &net.gateway;
        let targets = http(&[self.vip])?;
        appliance.process()?.prefer_threads("worker-")?;
        let crowd = Crowd::start_at(PACE, &net.client, &targets, ESTABLISHED)?;
        crowd.all_go_on().context("before the flood")?;
        let before = Size::read(appliance, gateway)?;
        let (poured, came, most) =
            flood(net, &targets, (rate, time), |over| watch_size(appliance, gateway, over))?;
        crowd.all_go_on().context("after the flood")?;
        let after = Size::read(appliance, gateway)?;
        let exchanges: u64 = crowd.talks().iter().map(|talk| talk.exchanges).sum();
        report(&format!("{} {}, {} worker(s)", self.mode, self.vip, self.workers), &poured, &came);
        println!(
            "{ESTABLISHED} established connections, {exchanges} exchanges, none broke; before \
             {before:?}, at most {most:?}, after {after:?}"
        );
        ensure!(poured.rate() >= rate * EFFORT, "the flood was weak: {poured:?}");
        ensure!(came.share() >= SHARE, "newcomers: {came:?}");
        ensure!(after.evicted > 0, "nothing had to give way");
        ensure!(most.half_open <= self.quota, "half-open {} of {}", most.half_open, self.quota);
        let kib = most.rss_kib.max(after.rss_kib);
        ensure!(
            kib <= before.rss_kib + GROWTH,
            "it has grown from {} to {kib} KiB",
            before.rss_kib
        );
        frames_balance(appliance, gateway)
    }
}

const SNAT: Trial = Trial {
    mode: "snat",
    vip: seed::VIPS[0],
    servers: seed::SERVERS,
    workers: 1,
    flows: 1 << 20,
    quota: 2 * SHARED_PORTS / 2,
};

#[test]
fn established_connections_and_newcomers_withstand_a_flood_of_syns() -> Result<()> {
    if !has_root("established_connections_and_newcomers_withstand_a_flood_of_syns") {
        return Ok(());
    }
    let mut borne = what_servers_bear(&seed::SERVERS)?;
    for _ in 1..ROUNDS {
        let Err(error) = at_half_of(borne) else { return Ok(()) };
        let now = what_servers_bear(&seed::SERVERS)?;
        if now >= borne * EFFORT {
            return Err(error);
        }
        println!("somebody else is busy here: the servers alone bear less than before; {error}");
        borne = now;
    }
    at_half_of(borne)
}

fn at_half_of(borne: f64) -> Result<()> {
    let (most, time) = limits();
    let rate = most.min(borne / 2.0);
    println!("servers alone bear {borne:.0} SYNs/s; flooded is with {rate:.0}");
    SNAT.withstands(rate, time)
}

#[test]
fn a_flood_over_ipv6_leaves_each_of_two_workers_ports_for_newcomers() -> Result<()> {
    if !has_root("a_flood_over_ipv6_leaves_each_of_two_workers_ports_for_newcomers") {
        return Ok(());
    }
    let v6 = Trial { vip: seed::VIPS_V6[0], servers: seed::SERVERS_V6, workers: 2, ..SNAT };
    v6.withstands(MODEST, BRIEF)
}

#[test]
fn a_flood_in_mode_nat_takes_half_of_the_table() -> Result<()> {
    if !has_root("a_flood_in_mode_nat_takes_half_of_the_table") {
        return Ok(());
    }
    let flows = 16_384;
    Trial { mode: "nat", flows, quota: flows / 2, ..SNAT }.withstands(MODEST, BRIEF)
}
