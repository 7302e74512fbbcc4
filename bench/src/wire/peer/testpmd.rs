use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::process::Process;
use portreeve_tests::run_dir::RunDir;

use super::Peer;
use crate::clock::now;
use crate::wire::count::thread;
use crate::wire::rig::{FAR, NEAR, Rig};

/// Where packages put it.
const PROGRAM: &str = "dpdk-testpmd";
/// Reserved huge pages that it takes.
pub(super) const PAGES: u64 = 256;
/// The thread that forwards, as DPDK 22.11 and later call it.
const THREADS: [&str; 2] = ["rte-worker-1", "dpdk-worker1"];
/// A worker that has polled for so long forwards, in seconds.
const POLLED: f64 = 0.05;
const START: Duration = Duration::from_secs(20);

struct Testpmd {
    process: Process,
    worker: &'static str,
    _dir: RunDir,
}

impl Peer for Testpmd {
    fn worker(&self) -> Option<(u32, &'static str)> {
        Some((self.process.pid(), self.worker))
    }

    fn wake(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// It polls for ever: stopped, it leaves its core to the others.
    fn rest(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }
}

/// DPDK's own forwarder on the AF_XDP driver, new MACs and nothing else; its main thread is on the
/// generator's core and sleeps, its worker on the other, as the appliance's.
///
/// # Errors
/// When it is not installed, or does not forward.
pub fn start(rig: &Rig) -> Result<Box<dyn Peer>> {
    let dir = RunDir::new()?;
    let log = dir.path().join("log");
    let server = rig.server.mac(NEAR)?;
    let mut command = Command::new(PROGRAM);
    command.args(["-l", "0,1", "--no-pci", "--in-memory", "--no-telemetry", "-m", "400"]);
    command.arg(format!("--vdev=net_af_xdp0,iface={NEAR}"));
    command.arg(format!("--vdev=net_af_xdp1,iface={FAR}"));
    command.args(["--", "--forward-mode=mac", "--auto-start", "--nb-cores=1", "--burst=64"]);
    command.args(["--no-flush-rx", "--total-num-mbufs=32768"]);
    command.arg(format!("--eth-peer=1,{server}"));
    let file = File::create(&log).context("make a log")?;
    // It ends when its input does.
    command.stdin(Stdio::piped()).stderr(file.try_clone().context("open the log twice")?);
    command.stdout(file).env("HOME", dir.path());
    // With a bpffs at hand libxdp would leave a dispatcher there.
    command.env("LIBXDP_SKIP_DISPATCHER", "1");
    let process = rig.gateway.spawn(command).context("package of dpdk-testpmd")?;
    let running = wait(&process);
    let worker = running.with_context(|| format!("testpmd said: {}", tail(&log)))?;
    let peer = Testpmd { process, worker, _dir: dir };
    peer.rest()?;
    Ok(Box::new(peer))
}

/// What it says comes in one piece at its end, so its work has to speak for it. Returns the name
/// of the thread that does it.
fn wait(process: &Process) -> Result<&'static str> {
    let begun = now();
    loop {
        let polls = |name: &&&str| thread(process.pid(), name).is_ok_and(|t| t.user > POLLED);
        if let Some(name) = THREADS.iter().find(polls) {
            return Ok(name);
        }
        let ended = process.wait_exit(Duration::from_millis(100)).is_ok();
        ensure!(!ended && begun.elapsed() < START, "it does not forward");
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
