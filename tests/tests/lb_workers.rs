//! Several workers: packets of every flow come to all of them, and what happens when one hangs.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::chain::{self, Chain};
use portreeve_tests::config::{ports, service};
use portreeve_tests::converse::converse;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;

/// Half a second is promised; a machine that has other things to do gets three times that.
const ALARM: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(20);

fn config() -> String {
    "[worker]\ncount = 2\n".to_owned()
        + &ports(&seed::PORTS)
        + &service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }")
}

/// The thread of that name in a process.
fn thread(process: u32, name: &str) -> Result<Pid> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?;
        let own = std::fs::read_to_string(task.path().join("comm"))?;
        if own.trim() == name {
            let id = task.file_name().to_string_lossy().parse().context("a thread's number")?;
            return Ok(Pid::from_raw(id));
        }
    }
    anyhow::bail!("process {process} has no thread {name}")
}

/// Whether a host that has forgotten the VIP's MAC gets an answer.
fn answers(client: &Host) -> Result<bool> {
    client.ip_batch("neigh flush dev ens5")?;
    let ping = client.run("ping", &["-c", "1", "-W", "1", seed::VIPS[0]])?;
    Ok(ping.ok().is_ok())
}

fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn a_worker_that_hangs_silences_the_gateway_until_it_goes_on() -> Result<()> {
    if !has_root("a_worker_that_hangs_silences_the_gateway_until_it_goes_on") {
        return Ok(());
    }
    let lab = Lab::new("lb_workers")?;
    let net = SeedLab::build(&lab, LinkOptions { queues: 2, ..LinkOptions::default() })?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    ensure!(answers(&net.client)?, "the VIP answers at first");
    let said = || appliance.log().contains("a worker makes no progress");

    // A debugger stops this one thread, and nothing else of the process.
    let worker = thread(appliance.process()?.pid(), "worker-1")?;
    ptrace::attach(worker).context("stop a worker")?;
    waitpid(worker, Some(WaitPidFlag::__WALL)).context("wait until it has stopped")?;
    wait_until("the alarm", ALARM, || Ok(said()))?;
    wait_until("silence", PATIENCE, || Ok(!answers(&net.client)?))?;
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["workers"][1]["stalled"] == true, "{status}");
    ensure!(status["workers"][0]["stalled"] == false, "{status}");

    ptrace::detach(worker, None).context("let it go on")?;
    wait_until("an answer", PATIENCE, || answers(&net.client))?;
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["workers"][1]["stalled"] == false, "{status}");
    Ok(())
}

#[test]
fn more_workers_than_queues_are_refused_with_what_to_do() -> Result<()> {
    if !has_root("more_workers_than_queues_are_refused_with_what_to_do") {
        return Ok(());
    }
    let lab = Lab::new("lb_queues")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let Err(error) = Appliance::start(&net.gateway, &config()) else {
        anyhow::bail!("it started with two workers and one queue");
    };
    let words = format!("{error:#}");
    ensure!(words.contains("port ens5 has 1 receive queue, but there are 2 workers"), "{words}");
    ensure!(words.contains("ethtool -L ens5 combined 2"), "{words}");
    Ok(())
}

const CONNECTIONS: usize = 500;
const DOWNLOAD: u64 = 20_000_000;
const DATAGRAMS: usize = 5_000;
const DATAGRAMS_PER_SECOND: u32 = 5_000;

fn chain_config(workers: u32, mode: &str) -> String {
    let both = r#"{ port = 80 }, { port = 7, protocol = "udp" }"#;
    let services = chain::VIPS.iter().zip(chain::SERVERS);
    let services = services
        .map(|(vip, server)| service(vip, &[server], both) + &format!("mode = \"{mode}\"\n"));
    format!("[worker]\ncount = {workers}\n") + &ports(&chain::PORTS) + &services.collect::<String>()
}

/// Each packet, of whatever flow and direction, comes in on the next queue.
fn every_flow_over_all_queues(workers: u32, mode: &str) -> Result<()> {
    let lab = Lab::new("lb_spread")?;
    let net = Chain::spread(&lab, workers)?;
    let appliance = Appliance::start(net.gateway(), &chain_config(workers, mode))?;
    let before = KernelCounters::read(net.gateway())?;
    let talk = || {
        for vip in chain::VIPS {
            let at = |port| Ok::<_, anyhow::Error>(SocketAddr::new(vip.parse::<IpAddr>()?, port));
            let target = at(seed::HTTP)?;
            net.client().enter(|| converse(target, CONNECTIONS))?.context("connections")?;
            let url = format!("http://{target}/data/{DOWNLOAD}");
            let (digest, _) = traffic::download(net.client(), &url).context("download")?;
            ensure!(digest == traffic::expected_sha256(DOWNLOAD)?, "the download came damaged");
            let echo = at(seed::ECHO)?;
            let echoed = traffic::echo(net.client(), echo, DATAGRAMS, 1_400, DATAGRAMS_PER_SECOND)?;
            ensure!(echoed.intact == DATAGRAMS && echoed.strange == 0, "{echoed:?}");
        }
        before.stood_by(net.gateway())
    };
    appliance.explain(net.gateway(), talk())?;
    let status = appliance.json(net.gateway(), &["status"])?;
    handed_over_evenly(&status)?;
    all_frames_are_there(&status)
}

/// Of `n` workers each owns about one packet of `n` that it receives, and hands on the others.
fn handed_over_evenly(status: &serde_json::Value) -> Result<()> {
    let workers = status["workers"].as_array().context("no workers")?;
    let handed: Vec<Vec<u64>> = workers
        .iter()
        .map(|worker| serde_json::from_value(worker["handed_out"].clone()))
        .collect::<Result<_, _>>()?;
    println!("handed over, by worker: {handed:?}");
    let most = handed.iter().flatten().max().copied().unwrap_or_default();
    for (from, counts) in handed.iter().enumerate() {
        for (to, packets) in counts.iter().enumerate().filter(|(to, _)| *to != from) {
            // One download is most of all packets, and one worker's.
            ensure!(*packets * 100 > most, "{packets} packets from {from} to {to}: {handed:?}");
        }
    }
    Ok(())
}

fn all_frames_are_there(status: &serde_json::Value) -> Result<()> {
    let frames = &status["frames"];
    let parts = ["pool", "rx", "tx", "waiting", "between"];
    let sum: u64 = parts.iter().filter_map(|part| frames[part].as_u64()).sum();
    ensure!(Some(sum) == frames["total"].as_u64(), "frames are missing: {frames}");
    Ok(())
}

#[test]
fn flows_survive_that_each_packet_comes_in_on_another_queue() -> Result<()> {
    if !has_root("flows_survive_that_each_packet_comes_in_on_another_queue") {
        return Ok(());
    }
    for (workers, mode) in [(2, "snat"), (4, "snat"), (2, "nat"), (4, "nat")] {
        println!("{workers} workers, mode {mode}");
        every_flow_over_all_queues(workers, mode)
            .with_context(|| format!("{workers} workers, mode {mode}"))?;
    }
    Ok(())
}

/// What comes in through a queue that was not there at the start is served by a socket of its own.
#[test]
fn a_queue_that_comes_later_is_served() -> Result<()> {
    if !has_root("a_queue_that_comes_later_is_served") {
        return Ok(());
    }
    let lab = Lab::new("lb_grow")?;
    let net = SeedLab::build(&lab, LinkOptions { queues: 2, ..LinkOptions::default() })?;
    // The kernel insists on a queue here for each way to send there.
    let channels = |host: &Host, which: &str, count: &str| {
        host.run("ethtool", &["-L", "ens5", which, count])?.ok()
    };
    channels(&net.client, "tx", "1")?;
    channels(&net.gateway, "rx", "1")?;
    let config = "[worker]\nframes = 65536\n".to_owned()
        + &ports(&seed::PORTS)
        + &service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }");
    let appliance = Appliance::start(&net.gateway, &config)?;
    let queues = || -> Result<u64> {
        let status = appliance.json(&net.gateway, &["status"])?;
        status["ports"][0]["queues"].as_u64().context("no queues")
    };
    ensure!(queues()? == 1, "one queue at first");
    channels(&net.gateway, "rx", "2")?;
    wait_until("a second socket", PATIENCE, || Ok(queues()? == 2))?;
    ensure!(appliance.log().contains("take it down and up"), "a veth needs more than a socket");
    net.gateway.ip_batch("link set ens5 down\nlink set ens5 up")?;
    channels(&net.client, "tx", "2")?;
    let before = KernelCounters::read(&net.gateway)?;
    let target = SocketAddr::new(seed::VIPS[0].parse()?, seed::HTTP);
    let talk = net.client.enter(|| converse(target, CONNECTIONS))?.context("connections");
    appliance.explain(&net.gateway, talk)?;
    before.stood_by(&net.gateway)?;
    all_frames_are_there(&appliance.json(&net.gateway, &["status"])?)
}
