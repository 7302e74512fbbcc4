//! The real keepalived, with the configuration and the script that are shipped for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::appliance::Appliance;
use crate::host::Host;
use crate::process::Process;
use crate::run_dir::RunDir;

const SCRIPT: &str = "/usr/lib/portreeve/portreeve-keepalived";

/// One keepalived that drives an appliance on the same host.
#[derive(Debug)]
pub struct Keepalived {
    process: Process,
    dir: RunDir,
}

impl Keepalived {
    /// Starts it with this priority.
    ///
    /// # Errors
    /// When it is not installed, or the shipped files are not what this expects.
    pub fn start(host: &Host, appliance: &Appliance, priority: u8) -> Result<Self> {
        let dir = RunDir::new()?;
        let conf = dir.path().join("keepalived.conf");
        std::fs::write(&conf, config(dir.path(), appliance, priority)?)?;
        let log = File::create(dir.path().join("log")).context("make the log")?;
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--use-file"]).arg(&conf);
        for (option, file) in [("--pid", "pid"), ("--vrrp_pid", "vrrp"), ("--checkers_pid", "ck")] {
            command.arg(option).arg(dir.path().join(file));
        }
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let process = host.spawn(command).context("is keepalived installed?")?;
        Ok(Self { process, dir })
    }

    /// Kills it with -9: the parent, and the child that speaks VRRP.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(&self) -> Result<()> {
        let children = format!("/proc/{0}/task/{0}/children", self.process.pid());
        let children = std::fs::read_to_string(children).context("read keepalived's children")?;
        // The parent first, which would start another child.
        self.process.signal(Signal::SIGKILL)?;
        for child in children.split_whitespace() {
            let child = Pid::from_raw(child.parse().context("a child's process id")?);
            kill(child, Signal::SIGKILL).context("kill keepalived's child")?;
        }
        Ok(())
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn stop(&self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// The shipped configuration for this host.
fn config(dir: &Path, appliance: &Appliance, priority: u8) -> Result<String> {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/keepalived");
    let text = std::fs::read_to_string(shipped.join("keepalived.conf"))?;
    ensure!(text.matches(SCRIPT).count() == 2 && text.contains("priority 100\n"), "{text}");
    // keepalived runs no script that others than root could have written.
    let script = dir.join("portreeve-keepalived");
    std::fs::copy(shipped.join("portreeve-keepalived"), &script).context("copy the script")?;
    let (program, socket) = (appliance.binary().display(), appliance.socket_path());
    let (script, socket, dir) = (script.display(), socket.display(), dir.display());
    let with_options = format!("{script} -p {program} -s {socket} -d {dir}");
    let text = text.replace(SCRIPT, &with_options);
    Ok(text.replace("priority 100\n", &format!("priority {priority}\n")))
}
