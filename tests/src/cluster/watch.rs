use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Cluster, PORT, User, token};
use crate::process::Process;

/// What happens to objects, as the API server tells it.
#[derive(Debug)]
pub struct Changes {
    told: Receiver<Value>,
    _watching: Vec<Process>,
}

impl Cluster<'_> {
    /// Watches objects under these paths; those that are there are told first.
    ///
    /// # Errors
    /// When curl cannot be started.
    pub fn watch(&self, paths: &[&str]) -> Result<Changes> {
        let (tell, told) = channel();
        let watching = paths.iter().map(|path| self.watch_one(path, tell.clone()));
        Ok(Changes { told, _watching: watching.collect::<Result<_>>()? })
    }

    fn watch_one(&self, path: &str, tell: Sender<Value>) -> Result<Process> {
        let (reader, writer) = std::io::pipe().context("make a pipe")?;
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer"]);
        // Of a kind that was just defined the API server may not know for a moment.
        command.args(["--fail", "--retry", "30", "--retry-delay", "1", "--retry-all-errors"]);
        command.arg("--cacert");
        command.arg(self.path("certificates/apiserver.crt"));
        command.args(["--header", &format!("Authorization: Bearer {}", token(User::Admin))]);
        command.arg(format!("https://{}:{PORT}{path}?watch=true", self.address));
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
        let process = self.host.spawn(command)?;
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { return };
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(process)
    }
}

impl Changes {
    /// Hands over what happens for so long, with when it was heard.
    ///
    /// # Errors
    /// When a watch has ended.
    pub fn during(&self, time: Duration, mut take: impl FnMut(Value, Instant)) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => take(event, Instant::now()),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("the watches have ended"),
            }
        }
    }

    /// Hands over what happens until nothing has happened for `quiet`.
    ///
    /// # Errors
    /// When a watch has ended, or it is never quiet within `limit`.
    pub fn until_quiet(
        &self,
        quiet: Duration,
        limit: Duration,
        mut take: impl FnMut(Value),
    ) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            match self.told.recv_timeout(quiet) {
                Ok(event) => take(event),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("the watches have ended"),
            }
        }
        bail!("something happens all the time")
    }
}
