use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::process::Process;
use portreeve_tests::run_dir::RunDir;

use super::Peer;
use crate::clock::now;
use crate::wire::rig::{BACKEND, BACKENDS, BULK, Rig, TCP, VIP, after};

const START: Duration = Duration::from_secs(10);

struct Haproxy {
    process: Process,
    _dir: RunDir,
}

impl Peer for Haproxy {
    fn check(&self, _rig: &Rig) -> Result<()> {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid()));
        ensure!(status.is_ok_and(|stat| !stat.contains(") Z")), "haproxy has ended");
        Ok(())
    }
}

/// haproxy in tcp mode with its own defaults: a thread for each core, round robin. It needs the
/// VIP as an address of the gateway, and ports for as many connections as the others have.
///
/// # Errors
/// When it is not installed or does not listen.
pub fn start(rig: &Rig) -> Result<Box<dyn Peer>> {
    rig.gateway.address("lo", &format!("{VIP}/32"))?;
    for (name, value) in [
        ("net.ipv4.ip_local_port_range", "1024 65535"),
        ("net.ipv4.tcp_tw_reuse", "1"),
        ("net.ipv4.tcp_max_tw_buckets", "2000000"),
        ("net.core.somaxconn", "4096"),
    ] {
        rig.gateway.sysctl(name, value)?;
    }
    let dir = RunDir::new()?;
    let file = dir.path().join("haproxy.cfg");
    std::fs::write(&file, config()).context("write haproxy's configuration")?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = rig.gateway.spawn(command).context("package haproxy")?;
    wait_for_listener(rig)?;
    Ok(Box::new(Haproxy { process, _dir: dir }))
}

fn config() -> String {
    let mut text = "global\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n \
                    timeout client 30s\n timeout server 30s\n option tcp-smart-accept\n \
                    option tcp-smart-connect\n"
        .to_owned();
    for port in [TCP, BULK] {
        text += &format!("listen port{port}\n bind {VIP}:{port}\n");
        for n in 0..BACKENDS {
            text += &format!(" server s{n} {}:{port}\n", after(BACKEND, n));
        }
    }
    text
}

fn wait_for_listener(rig: &Rig) -> Result<()> {
    let begun = now();
    let target = std::net::SocketAddr::from((VIP, TCP));
    loop {
        let connected = rig.gateway.enter(|| std::net::TcpStream::connect(target))?;
        if connected.is_ok() {
            return Ok(());
        }
        ensure!(begun.elapsed() < START, "haproxy does not listen: {connected:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
