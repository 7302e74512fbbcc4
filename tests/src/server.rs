use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;
use crate::process::Process;
use crate::program::built;

/// Answers HTTP as `traefik/whoami` does, and downloads.
pub mod http;
/// Bytes that look random and are the same every time.
pub mod noise;
/// Sends every datagram back.
pub mod udp_echo;

/// Set when the lab outlives the process that lays it out.
const KEPT: &str = "LAB_KEPT";

const START: Duration = Duration::from_secs(10);

/// The program `lab-server`, running on a host.
#[derive(Debug)]
pub struct Server {
    /// The process, to signal or wait for.
    pub process: Process,
}

impl Server {
    /// Starts it on `host` under the host's own name, HTTP and UDP echo on these ports of every
    /// address, and returns when it listens.
    ///
    /// # Errors
    /// When it is not built or cannot listen.
    pub fn start(host: &Host, http: &[u16], udp: &[u16]) -> Result<Self> {
        Self::start_with(host, http, udp, &[])
    }

    /// As [`Server::start`], with UDP echo on `echo` besides. A socket that is bound to one address
    /// answers from it; one that is bound to all answers from the host's first.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(host: &Host, http: &[u16], udp: &[u16], echo: &[SocketAddr]) -> Result<Self> {
        let mut command = Command::new(built("lab-server", "LAB_SERVER")?);
        command.args(["--name", host.name()]).stdin(Stdio::null()).stdout(Stdio::piped());
        if std::env::var_os(KEPT).is_some() {
            // What stays must not hold on to a pipe that somebody reads to its end.
            command.stderr(Stdio::null());
        }
        for port in http {
            command.args(["--http", &port.to_string()]);
        }
        for port in udp {
            command.args(["--udp", &port.to_string()]);
        }
        for at in echo {
            command.args(["--echo", &at.to_string()]);
        }
        let process = host.spawn(command)?;
        let stdout = process.take_stdout().context("the server's output is not piped")?;
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // The receiver is gone when nobody waits any more.
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send(line);
        });
        let line = told
            .recv_timeout(START)
            .with_context(|| format!("the server on {} is not ready in time", host.name()))?;
        ensure!(line.trim() == "ready", "the server on {} ended: {line:?}", host.name());
        Ok(Self { process })
    }
}
