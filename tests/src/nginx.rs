//! Real nginx as a backend.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;
use crate::process::Process;
use crate::run_dir::RunDir;

const START: Duration = Duration::from_secs(10);
/// While this file is there, the health page says 503 and everything else goes on.
const SICK: &str = "sick";

/// One nginx: `/` answers `Hostname: <host>` as the lab's own servers do, `/healthz` says how it is.
#[derive(Debug)]
pub struct Nginx {
    /// The process, to signal or wait for. There is one only, so that a signal reaches all of it.
    pub process: Process,
    dir: RunDir,
}

impl Nginx {
    /// Starts it on `host` and returns when it listens, in both families.
    ///
    /// # Errors
    /// When nginx is not installed or does not listen in time.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let dir = RunDir::new()?;
        let path = dir.path().to_str().context("the directory is not UTF-8")?.to_owned();
        std::fs::write(dir.path().join("nginx.conf"), config(&path, host.name(), port))?;
        let mut command = Command::new("nginx");
        command.args(["-p", &path, "-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
        let process = host.spawn(command).context("is nginx installed?")?;
        let nginx = Self { process, dir };
        nginx.wait(host, port)?;
        Ok(nginx)
    }

    /// Makes the health page say that it is sick, or well again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_sick(&self, sick: bool) -> Result<()> {
        let file = self.dir.path().join(SICK);
        let done = if sick { std::fs::write(file, "") } else { std::fs::remove_file(file) };
        done.context("change the health page")
    }

    fn wait(&self, host: &Host, port: u16) -> Result<()> {
        let deadline = Instant::now() + START;
        while host.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?.is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("error.log"));
            ensure!(Instant::now() < deadline, "nginx does not listen: {:?}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn config(dir: &str, name: &str, port: u16) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|which| format!("  {which}_temp_path {dir}/{which};\n")).collect();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n{temporary}\
         \x20 default_type text/plain;\n  keepalive_requests 10000000;\n  keepalive_timeout 1h;\n\
         \x20 server {{\n    listen {port} backlog=4096;\n    listen [::]:{port} backlog=4096;\n\
         \x20   location = /healthz {{\n      if (-f {dir}/{SICK}) {{ return 503; }}\n\
         \x20     return 200 \"well\\n\";\n    }}\n\
         \x20   location / {{ return 200 \"Hostname: {name}\\n\"; }}\n  }}\n}}\n"
    )
}
