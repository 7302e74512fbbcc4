//! Traffic with a content that is checked at its end: downloads, conversations, datagrams.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::host::Host;
use crate::program::search_path;
use crate::server::noise;

/// An answer that takes longer is not coming.
const PATIENCE: Duration = Duration::from_secs(10);
/// No datagram arrives this long after all others.
const SILENCE: Duration = Duration::from_secs(2);
/// Flows that a run of datagrams is spread over.
const FLOWS: usize = 8;

/// SHA-256 of what arrives on the standard input of the program of that name.
fn sha256sum(input: Stdio) -> Result<Child> {
    let mut command = Command::new("sha256sum");
    command.stdin(input).stdout(Stdio::piped()).env("PATH", search_path()).process_group(0);
    command.spawn().context("start sha256sum")
}

fn digest(sum: Child) -> Result<String> {
    let output = sum.wait_with_output().context("wait for sha256sum")?;
    ensure!(output.status.success(), "sha256sum ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().context("sha256sum printed nothing")?.to_owned())
}

/// SHA-256 of the download of this length, from the bytes themselves.
///
/// # Errors
/// When `sha256sum` cannot be run.
pub fn expected_sha256(length: u64) -> Result<String> {
    let mut sum = sha256sum(Stdio::piped())?;
    let mut stdin = sum.stdin.take().context("sha256sum's input is not piped")?;
    noise::write(length, &mut stdin).context("write to sha256sum")?;
    drop(stdin);
    digest(sum)
}

/// A download by curl: SHA-256 of what arrived, and how long it took.
///
/// # Errors
/// When curl fails or takes more than two minutes; the message carries its words.
pub fn download(client: &Host, url: &str) -> Result<(String, Duration)> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "120", url]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", search_path()).process_group(0);
    let begun = Instant::now();
    let mut curl = client.enter(|| command.spawn())?.context("start curl")?;
    let body = curl.stdout.take().context("curl's output is not piped")?;
    let digest = digest(sha256sum(body.into())?)?;
    let ended = curl.wait_with_output().context("wait for curl")?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "curl {url}: {}, {words}", ended.status);
    Ok((digest, begun.elapsed()))
}

/// A connection to a server that stays open between requests.
#[derive(Debug)]
pub struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When nobody answers in ten seconds.
    pub fn open(target: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&target, PATIENCE)
            .with_context(|| format!("connect to {target}"))?;
        stream.set_read_timeout(Some(PATIENCE)).context("set the timeout")?;
        stream.set_nodelay(true).context("switch delays off")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn ask(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n").context("ask")
    }

    /// Reads one whole answer and returns the name of the server.
    ///
    /// # Errors
    /// When there is none in ten seconds, or the connection is broken.
    pub fn answer(&mut self) -> Result<String> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).context("read an answer")?;
            ensure!(read > 0, "the server closed the connection");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().context("Content-Length")?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("read the body")?;
        let body = String::from_utf8(body).context("the body is not UTF-8")?;
        let name = body.lines().find_map(|line| line.strip_prefix("Hostname: "));
        Ok(name.context("no Hostname in the answer")?.to_owned())
    }
}

/// What became of datagrams that were sent to be echoed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echoed {
    /// Datagrams sent.
    pub sent: usize,
    /// Answers equal to a datagram sent on the same socket, each counted once.
    pub intact: usize,
    /// Answers that nobody asked for: altered, or a second time.
    pub strange: usize,
    /// How long the sending took.
    pub took: Duration,
}

/// Sends `count` datagrams of 1 to `longest` bytes to `target` from `client` at an even pace of
/// `per_second`, over eight flows, and looks at what comes back.
///
/// # Errors
/// When a socket fails, for example because the port is unreachable.
pub fn echo(
    client: &Host,
    target: SocketAddr,
    count: usize,
    longest: usize,
    per_second: u32,
) -> Result<Echoed> {
    let sockets = client.enter(|| connected(target))??;
    let payloads: Vec<_> = (0..count).map(|n| payload(n, 1 + n % longest)).collect();
    let share = |at: usize| payloads.iter().skip(at).step_by(FLOWS).cloned().collect();
    let mut receivers: Vec<JoinHandle<Result<(usize, usize)>>> = Vec::new();
    for (at, socket) in sockets.iter().enumerate() {
        let (socket, wanted) = (socket.try_clone().context("clone a socket")?, share(at));
        receivers.push(std::thread::spawn(move || receive(&socket, wanted)));
    }
    let begun = Instant::now();
    for (n, payload) in payloads.iter().enumerate() {
        let due = Duration::from_secs(1) * n as u32 / per_second;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        sockets[n % FLOWS].send(payload).with_context(|| format!("send datagram {n}"))?;
    }
    let mut echoed = Echoed { sent: count, took: begun.elapsed(), ..Echoed::default() };
    for receiver in receivers {
        let received = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (intact, strange) = received?;
        echoed.intact += intact;
        echoed.strange += strange;
    }
    Ok(echoed)
}

fn connected(target: SocketAddr) -> Result<Vec<UdpSocket>> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let one = |_| {
        let socket = UdpSocket::bind(any).context("bind a UDP socket")?;
        socket.connect(target).with_context(|| format!("connect to {target}"))?;
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).context("enlarge the buffer")?;
        Ok(socket)
    };
    (0..FLOWS).map(one).collect()
}

/// The content of datagram `n`; of two with the same length it differs where there is room.
#[must_use]
pub fn payload(n: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut word = n as u64;
    while bytes.len() < length {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        bytes.extend_from_slice(&(word >> 16).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Receives until all are there, or nothing has come for a while. Order is no matter: the same
/// content may be expected several times.
fn receive(socket: &UdpSocket, wanted: Vec<Vec<u8>>) -> Result<(usize, usize)> {
    socket.set_read_timeout(Some(SILENCE)).context("set the timeout")?;
    let mut missing: HashMap<Vec<u8>, usize> = HashMap::new();
    for payload in wanted {
        *missing.entry(payload).or_default() += 1;
    }
    let (mut intact, mut strange) = (0, 0);
    let mut buffer = vec![0; 65_536];
    while missing.values().any(|count| *count > 0) {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error).context("receive a datagram"),
        };
        match missing.get_mut(&buffer[..length]) {
            Some(count) if *count > 0 => {
                *count -= 1;
                intact += 1;
            }
            _ => strange += 1,
        }
    }
    Ok((intact, strange))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_length_and_differ() {
        for length in [1, 7, 8, 9, 1_400] {
            assert_eq!(payload(3, length).len(), length);
        }
        assert_ne!(payload(1, 32), payload(2, 32));
    }

    #[test]
    fn an_altered_and_a_repeated_datagram_are_strange() {
        let (near, far) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        far.connect(near.local_addr().unwrap()).unwrap();
        for bytes in [&b"ab"[..], b"ab", b"xx", b"cd"] {
            far.send(bytes).unwrap();
        }
        let wanted = vec![b"ab".to_vec(), b"cd".to_vec()];
        assert_eq!(receive(&near, wanted).unwrap(), (2, 2));
    }

    #[test]
    fn the_expected_digest_is_that_of_the_bytes() {
        // sha256sum of nothing.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(expected_sha256(0).unwrap(), empty);
    }
}
