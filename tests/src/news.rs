//! Connections on which only the server speaks: numbers at an even pace, each looked at when it comes.
//! The client sends nothing but acknowledgements, so that none of its packets shows a gateway the way.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::Host;

/// Between two numbers of a connection.
const PACE: Duration = Duration::from_millis(20);
const OPEN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// A connection that stands still for longer is broken: some retransmissions fall into it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Many such connections.
#[derive(Debug)]
pub struct News {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<io::Result<u64>>,
    reader: JoinHandle<Result<(u64, Duration)>>,
}

impl News {
    /// Opens `count` connections from `client` to `target`, behind which `listeners` are, and lets the
    /// servers speak.
    ///
    /// # Errors
    /// When a connection does not come about.
    pub fn open(
        client: &Host,
        target: SocketAddr,
        listeners: &[TcpListener],
        count: usize,
    ) -> Result<Self> {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let stream = client.enter(|| TcpStream::connect_timeout(&target, PATIENCE))?;
            let stream = stream.with_context(|| format!("connect to {target}"))?;
            stream.set_nonblocking(true).context("do not wait")?;
            near.push(stream);
            far.push(accept(listeners)?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let writer = std::thread::spawn(move || speak(&far, &until));
        let reader = std::thread::spawn(move || listen(near));
        Ok(Self { stop, writer, reader })
    }

    /// Ends the connections in order; the longest time in which one of them brought nothing.
    ///
    /// # Errors
    /// When one broke, or other numbers came than were sent.
    pub fn finish(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Release);
        let sent = join(self.writer).context("send news")?;
        let (came, longest) = join(self.reader)?;
        ensure!(sent == came, "{sent} numbers were sent, {came} came");
        Ok(longest)
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn accept(listeners: &[TcpListener]) -> Result<TcpStream> {
    let mut fds: Vec<_> = listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)).collect();
    ensure!(poll(&mut fds, Some(&OPEN))? > 0, "a connection reached no server");
    let ready = fds.iter().position(|fd| !fd.revents().is_empty()).context("none is ready")?;
    let (stream, _) = listeners[ready].accept().context("accept")?;
    stream.set_nodelay(true).context("send at once")?;
    stream.set_write_timeout(Some(PATIENCE)).context("limit the wait")?;
    Ok(stream)
}

/// Writes numbers to all of them until told to stop; how many in all.
fn speak(all: &[TcpStream], stop: &AtomicBool) -> io::Result<u64> {
    let (begun, mut round) = (Instant::now(), 0_u32);
    while !stop.load(Ordering::Acquire) {
        for mut stream in all {
            stream.write_all(&u64::from(round).to_be_bytes())?;
        }
        round += 1;
        std::thread::sleep((PACE * round).saturating_sub(begun.elapsed()));
    }
    // Their ends are seen when they are dropped.
    Ok(u64::from(round) * all.len() as u64)
}

/// The client's end of a connection.
struct Reader {
    stream: TcpStream,
    /// Bytes of a number that has not come whole.
    rest: Vec<u8>,
    next: u64,
    last: Instant,
    longest: Duration,
}

/// Reads from all of them until they end: how many numbers came, and the longest silence of one.
fn listen(streams: Vec<TcpStream>) -> Result<(u64, Duration)> {
    let now = Instant::now();
    let reader =
        |stream| Reader { stream, rest: Vec::new(), next: 0, last: now, longest: Duration::ZERO };
    let mut open: Vec<_> = streams.into_iter().map(reader).collect();
    let (mut came, mut longest) = (0, Duration::ZERO);
    while !open.is_empty() {
        let mut fds: Vec<_> = open.iter().map(|r| PollFd::new(&r.stream, PollFlags::IN)).collect();
        poll(&mut fds, Some(&LOOK)).context("wait for news")?;
        let mut still = Vec::with_capacity(open.len());
        for mut reader in open {
            if reader.read()? {
                still.push(reader);
            } else {
                came += reader.next;
                longest = longest.max(reader.longest);
            }
        }
        open = still;
    }
    Ok((came, longest))
}

impl Reader {
    /// Takes what has come; whether more may come.
    fn read(&mut self) -> Result<bool> {
        let mut buffer = [0; 4_096];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                ensure!(self.rest.is_empty(), "it ended within a number");
                return Ok(false);
            }
            Ok(read) => self.rest.extend(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ensure!(self.last.elapsed() < PATIENCE, "it stands still at {}", self.next);
                return Ok(true);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("after {} numbers", self.next));
            }
        }
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
        let (numbers, rest) = self.rest.as_chunks::<8>();
        for number in numbers.iter().copied().map(u64::from_be_bytes) {
            ensure!(number == self.next, "{number} came in place of {}", self.next);
            self.next += 1;
        }
        self.rest = rest.to_vec();
        Ok(true)
    }
}
