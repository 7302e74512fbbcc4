use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::bpffs::Bpffs;
use crate::host::{Host, Ran};
use crate::notify::NotifySocket;
use crate::process::Process;
use crate::program::built;
use crate::run_dir::RunDir;

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);
const LOG_TAIL: usize = 40;

/// One instance of the appliance: its files, and the process while there is one. The files
/// outlive the process, so that a test can kill and restart it.
#[derive(Debug)]
pub struct Appliance {
    process: Option<Process>,
    notify: Option<NotifySocket>,
    binary: PathBuf,
    args: Vec<String>,
    _bpffs: Bpffs,
    dir: RunDir,
}

impl Appliance {
    /// Starts it on `host` with this configuration and returns when it forwards.
    ///
    /// # Errors
    /// When it is not built, ends, or is not ready in time; the message ends with its log.
    pub fn start(host: &Host, config: &str) -> Result<Self> {
        Self::start_in(RunDir::new()?, host, config)
    }

    /// As [`Appliance::start`], with its files in `dir`.
    ///
    /// # Errors
    /// As [`Appliance::start`].
    pub fn start_in(dir: RunDir, host: &Host, config: &str) -> Result<Self> {
        Self::start_with(dir, host, config, &[])
    }

    /// As [`Appliance::start_in`], with further arguments of `portreeve run`.
    ///
    /// # Errors
    /// As [`Appliance::start`].
    pub fn start_with(dir: RunDir, host: &Host, config: &str, args: &[String]) -> Result<Self> {
        let bpffs = Bpffs::mount(dir.path().join("bpf"))?;
        let binary = built("portreeve", "PORTREEVE_BIN")?;
        let args = args.to_vec();
        let mut appliance = Self { process: None, notify: None, binary, args, _bpffs: bpffs, dir };
        appliance.write_config(config)?;
        appliance.restart(host)?;
        Ok(appliance)
    }

    /// Starts the process (again) and returns when it forwards. A process that still runs is
    /// killed first.
    ///
    /// # Errors
    /// As [`Appliance::start`].
    pub fn restart(&mut self, host: &Host) -> Result<()> {
        self.process = None;
        // Each process gets a socket of its own: an older one's last words do not count.
        let path = self.dir.path().join("notify");
        let _ = std::fs::remove_file(&path);
        let notify = NotifySocket::bind(path)?;
        self.process = Some(host.spawn(self.command(&notify)?)?);
        self.notify = Some(notify);
        self.wait_ready()
    }

    /// Waits until it says that it is ready: after a start, and after each reading of its
    /// configuration, whether it took it or not.
    ///
    /// # Errors
    /// When it ends, or says nothing in time; the message ends with its log.
    pub fn wait_ready(&self) -> Result<()> {
        let notify = self.notify.as_ref().context("the appliance was never started")?;
        let ready = notify.wait_for("READY=1", self.process()?.ended(), START);
        ready.with_context(|| format!("portreeve is not ready; its log:\n{}", self.log_tail()))
    }

    /// Replaces the configuration and waits until the appliance has read it of itself.
    ///
    /// # Errors
    /// As [`Appliance::wait_ready`].
    pub fn reload(&self, config: &str) -> Result<()> {
        self.write_config(config)?;
        self.wait_ready()
    }

    /// The running process.
    ///
    /// # Errors
    /// When it has been waited for.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the appliance does not run")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process()?.signal(signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after ten seconds.
    pub fn wait_exit(&mut self) -> Result<ExitStatus> {
        let status = self.process()?.wait_exit(STOP)?;
        self.process = None;
        Ok(status)
    }

    /// Replaces the configuration file in one step, as an editor does; the appliance sees it by
    /// itself or on SIGHUP.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, config: &str) -> Result<()> {
        let next = self.dir.path().join("portreeve.toml.next");
        std::fs::write(&next, config).context("write the configuration")?;
        std::fs::rename(&next, self.config_path()).context("replace the configuration")
    }

    /// Where its configuration is.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("portreeve.toml")
    }

    /// The program `portreeve` itself.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where it is pinned: a bpffs.
    #[must_use]
    pub fn pin_dir(&self) -> PathBuf {
        self.dir.path().join("bpf")
    }

    /// Where its admin API listens.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    /// The directory of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `portreeve` as a client of this instance (`status`, `services --json`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, host: &Host, args: &[&str]) -> Result<Ran> {
        let binary = self.binary.to_str().context("the path of portreeve is not UTF-8")?;
        let socket = self.socket_path();
        let socket = socket.to_str().context("the path of the socket is not UTF-8")?;
        host.run(binary, &[args, &["--socket", socket]].concat())
    }

    /// What `portreeve ARGS --json` says.
    ///
    /// # Errors
    /// When it fails or does not print JSON.
    pub fn json(&self, host: &Host, args: &[&str]) -> Result<serde_json::Value> {
        let text = self.cli(host, &[args, &["--json"]].concat())?.ok()?;
        serde_json::from_str(&text).with_context(|| format!("portreeve printed {text:?}"))
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The file that it logs to.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The last lines that it has logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Adds to a failure what the appliance, running on `host`, says of itself.
    ///
    /// # Errors
    /// The failure itself.
    pub fn explain<T>(&self, host: &Host, outcome: Result<T>) -> Result<T> {
        outcome.with_context(|| {
            let status = self.cli(host, &["status"]).map(|ran| ran.stdout).unwrap_or_default();
            format!("portreeve's status:\n{status}\nits log:\n{}", self.log_tail())
        })
    }

    fn command(&self, notify: &NotifySocket) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.context("open the log")?;
        let mut command = Command::new(&self.binary);
        command.arg("run").arg("--config").arg(self.config_path());
        command.arg("--pin-dir").arg(self.pin_dir()).arg("--socket").arg(self.socket_path());
        command.args(&self.args);
        command.env("NOTIFY_SOCKET", notify.path()).env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(log.try_clone().context("open the log twice")?);
        command.stderr(log);
        Ok(command)
    }
}
