use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;

/// Stands before curl's own words about a transfer; no answer begins a line so.
const MARK: &str = "@@";
const FORMAT: &str =
    r"\n@@ %{http_code} %{num_connects} %{local_ip} %{local_port} %{remote_ip} %{exitcode}\n";

/// One request and who answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The URL asked for.
    pub url: String,
    /// The `Hostname` in the answer; empty when there was none.
    pub hostname: String,
    /// The client as the server saw it; `None` when there was no answer.
    pub seen: Option<SocketAddr>,
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Connections opened for this request: 1, since each asks for its own.
    pub connects: u32,
    /// The client's own end of the connection; `None` when there was none.
    pub client: Option<SocketAddr>,
    /// Address that the request went to.
    pub remote: Option<IpAddr>,
    /// curl's own exit code for this request; 0 is good.
    pub exit: u32,
}

impl Answer {
    /// Whether a server answered over a connection of its own.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status == 200 && self.exit == 0 && self.connects == 1 && !self.hostname.is_empty()
    }
}

/// Asks for every URL in order, from one curl process, over a new connection each.
///
/// # Errors
/// When curl cannot be started or does not report on every request; a request that fails is an
/// [`Answer`] like any other.
pub fn get(host: &Host, urls: &[String]) -> Result<Vec<Answer>> {
    let mut command = Command::new("curl");
    command.args(["--config", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).env("PATH", crate::program::search_path()).process_group(0);
    let mut child = host.enter(|| command.spawn())?.context("start curl")?;
    let mut stdin = child.stdin.take().context("curl's input is not piped")?;
    let config = config(urls);
    // Written from beside, since curl answers before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(config.as_bytes()));
    let output = child.wait_with_output().context("wait for curl")?;
    // A curl that ended early is seen by the count below.
    drop(writer.join());
    let answers = parse(urls, &String::from_utf8_lossy(&output.stdout))?;
    ensure!(
        answers.len() == urls.len(),
        "curl reported on {} of {} requests, {}",
        answers.len(),
        urls.len(),
        output.status
    );
    Ok(answers)
}

/// As [`get`], from `processes` curl processes at once, which share the URLs.
///
/// # Errors
/// As [`get`].
pub fn get_parallel(host: &Host, urls: &[String], processes: usize) -> Result<Vec<Answer>> {
    let share = urls.len().div_ceil(processes.max(1)).max(1);
    let all: Result<Vec<_>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            urls.chunks(share).map(|part| scope.spawn(move || get(host, part))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Ok(all?.concat())
}

fn config(urls: &[String]) -> String {
    let mut text = String::new();
    for url in urls {
        let _ = write!(
            text,
            "url = \"{url}\"\nheader = \"Connection: close\"\nsilent\n\
             connect-timeout = 10\nmax-time = 30\nwrite-out = \"{FORMAT}\"\nnext\n"
        );
    }
    text
}

fn parse(urls: &[String], text: &str) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let (mut hostname, mut seen) = (String::new(), None);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Hostname: ") {
            name.clone_into(&mut hostname);
        } else if let Some(from) = line.strip_prefix("RemoteAddr: ") {
            seen = from.parse().ok();
        } else if let Some(report) = line.strip_prefix(MARK) {
            let url = urls.get(answers.len()).context("curl reported on too many requests")?;
            let answer = answer(url, std::mem::take(&mut hostname), seen.take(), report);
            answers.push(answer.with_context(|| format!("curl's report {line:?}"))?);
        }
    }
    Ok(answers)
}

fn answer(url: &str, hostname: String, seen: Option<SocketAddr>, report: &str) -> Result<Answer> {
    // Addresses are empty when there was no connection, so columns are split at single blanks.
    let fields: Vec<&str> = report.trim_start().split(' ').collect();
    let [status, connects, local_ip, local_port, remote, exit] = fields[..] else {
        anyhow::bail!("not six fields");
    };
    let client = local_ip.parse::<IpAddr>().ok().zip(local_port.parse().ok());
    Ok(Answer {
        url: url.to_owned(),
        hostname,
        seen,
        status: status.parse().context("status")?,
        connects: connects.parse().context("connections")?,
        client: client.map(SocketAddr::from),
        remote: remote.parse().ok(),
        exit: exit.parse().context("exit code")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_failures_are_told_apart() {
        let urls = ["http://10.10.200.1/".to_owned(), "http://10.10.200.2/".to_owned()];
        let text = "Hostname: webpod1\nIP: ::1\nRemoteAddr: [fd00::6]:40000\n\n\n\
                    @@ 200 1 10.10.200.6 40000 10.10.200.1 0\n\n@@ 000 0  0  28\n";
        let answers = parse(&urls, text).unwrap();
        assert!(answers[0].is_good());
        assert_eq!(answers[0].hostname, "webpod1");
        assert_eq!(answers[0].seen, Some("[fd00::6]:40000".parse().unwrap()));
        assert_eq!(answers[1].seen, None);
        assert_eq!(answers[0].client, Some("10.10.200.6:40000".parse().unwrap()));
        assert!(!answers[1].is_good());
        assert_eq!((answers[1].exit, answers[1].client), (28, None));
    }

    #[test]
    fn a_report_of_another_shape_is_an_error() {
        assert!(parse(&["http://a/".to_owned()], "@@ 200 1\n").is_err());
    }
}
