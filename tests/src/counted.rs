//! Connections on which both ends send numbers all the time, and look at those that they get: what is
//! lost, doubled or altered shows, and so does how long nothing came.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::Host;

/// Between two lots of numbers.
const PACE: Duration = Duration::from_millis(5);
const LOT: u64 = 64;
/// A connection that brings nothing for longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const OPEN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// One such connection.
#[derive(Debug)]
pub struct Counted {
    stop: Arc<AtomicBool>,
    /// The client's, then the server's.
    writers: [Option<JoinHandle<io::Result<u64>>>; 2],
    /// Of what the client sent, then of what the server sent.
    readers: [Option<JoinHandle<Result<Heard>>>; 2],
}

/// What one end got.
#[derive(Debug, Clone, Copy)]
struct Heard {
    numbers: u64,
    longest: Duration,
}

/// The longest time in which nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silences {
    /// From the client to the server.
    pub to_server: Duration,
    /// From the server to the client.
    pub to_client: Duration,
}

impl Counted {
    /// Connects from `client` to `target`, behind which `listener` is, and lets both ends count.
    ///
    /// # Errors
    /// When the connection does not come about.
    pub fn open(client: &Host, target: SocketAddr, listener: &TcpListener) -> Result<Self> {
        let near = client.enter(|| TcpStream::connect_timeout(&target, PATIENCE))?;
        let near = near.with_context(|| format!("connect to {target}"))?;
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        ensure!(poll(&mut fds, Some(&OPEN))? > 0, "no connection came of one to {target}");
        let (far, _) = listener.accept().context("accept")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut writers, mut readers) = ([None, None], [None, None]);
        for (at, (from, to)) in [(&near, &far), (&far, &near)].into_iter().enumerate() {
            to.set_read_timeout(Some(PATIENCE)).context("limit the wait")?;
            from.set_nodelay(true).context("send at once")?;
            let (out, until) = (from.try_clone().context("share")?, Arc::clone(&stop));
            writers[at] = Some(std::thread::spawn(move || count(out, &until)));
            let into = to.try_clone().context("share")?;
            readers[at] = Some(std::thread::spawn(move || listen(into)));
        }
        Ok(Self { stop, writers, readers })
    }

    /// Ends the connection in order and says how long either end heard nothing.
    ///
    /// # Errors
    /// When it broke, or other numbers came than were sent.
    pub fn finish(mut self) -> Result<Silences> {
        self.stop.store(true, Ordering::Release);
        let [to_server, to_client] = [0, 1].map(|at| {
            let (writer, reader) = (self.writers[at].take(), self.readers[at].take());
            let sent = join(writer.context("joined before")?).context("send")?;
            let heard = join(reader.context("joined before")?)?;
            ensure!(sent == heard.numbers, "{sent} numbers were sent, {} came", heard.numbers);
            Ok(heard.longest)
        });
        Ok(Silences {
            to_server: to_server.context("from the client to the server")?,
            to_client: to_client.context("from the server to the client")?,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sends numbers until told to stop; returns how many.
fn count(mut out: TcpStream, stop: &AtomicBool) -> io::Result<u64> {
    let mut next = 0_u64;
    while !stop.load(Ordering::Acquire) {
        let lot: Vec<u8> = (next..next + LOT).flat_map(u64::to_be_bytes).collect();
        out.write_all(&lot)?;
        next += LOT;
        std::thread::sleep(PACE);
    }
    out.shutdown(Shutdown::Write)?;
    Ok(next)
}

/// Reads numbers until the other end has no more.
fn listen(mut from: TcpStream) -> Result<Heard> {
    let mut heard = Heard { numbers: 0, longest: Duration::ZERO };
    let (mut last, mut lot) = (Instant::now(), [0; 8 * LOT as usize]);
    loop {
        match from.read_exact(&mut lot) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(heard),
            Err(error) => {
                return Err(error).with_context(|| format!("after {} numbers", heard.numbers));
            }
        }
        heard.longest = heard.longest.max(last.elapsed());
        last = Instant::now();
        for bytes in lot.as_chunks().0 {
            let number = u64::from_be_bytes(*bytes);
            ensure!(number == heard.numbers, "{number} came in place of {}", heard.numbers);
            heard.numbers += 1;
        }
    }
}
