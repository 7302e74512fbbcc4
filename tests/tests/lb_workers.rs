//! Several workers: what happens when one of them hangs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;

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
