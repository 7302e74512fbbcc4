//! Datagrams at an even pace that a server sends back: how many came home, and how long a flow heard nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::Host;

/// Flows that take turns.
const FLOWS: usize = 8;
/// Datagrams that are sent in one go.
const BATCH: u32 = 20;
/// What is on its way when the last one has been sent gets so long.
const LAST: Duration = Duration::from_millis(500);
/// Bytes that may wait for us on a busy machine.
const ROOM: usize = 8 << 20;
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Goes on until it is finished.
#[derive(Debug)]
pub struct Steady {
    over: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<Result<Heard>>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echoes {
    /// Datagrams that were to be sent.
    pub sent: u64,
    /// Of those, how many came back.
    pub came: u64,
    /// The longest time in which one flow heard nothing.
    pub longest: Duration,
    /// How long it went on.
    pub took: Duration,
}

impl Echoes {
    /// Datagrams a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }
}

#[derive(Debug)]
struct Heard {
    came: u64,
    longest: Duration,
    took: Duration,
}

impl Steady {
    /// Begins to send from `host` to `target`, so many datagrams a second over eight flows.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn start(host: &Host, target: SocketAddr, per_second: u32) -> Result<Self> {
        let all = || (0..FLOWS).map(|_| connected(target)).collect::<Result<Vec<_>>>();
        let sockets = host.enter(all)??;
        let shared: io::Result<_> = sockets.iter().map(UdpSocket::try_clone).collect();
        let shared: Vec<UdpSocket> = shared.context("share the sockets")?;
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let sender = std::thread::spawn(move || send(&shared, per_second, &until));
        let until = Arc::clone(&over);
        let receiver = std::thread::spawn(move || receive(&sockets, &until));
        Ok(Self { over, sender, receiver })
    }

    /// Sends no more, waits for what is on its way, and says what became of it all.
    ///
    /// # Errors
    /// When nothing can be received.
    pub fn finish(self) -> Result<Echoes> {
        self.over.store(true, Ordering::Release);
        let sent = join(self.sender);
        let Heard { came, longest, took } = join(self.receiver)?;
        Ok(Echoes { sent, came, longest, took })
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn connected(target: SocketAddr) -> Result<UdpSocket> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("bind a UDP socket")?;
    setsockopt(&socket, sockopt::RcvBufForce, &ROOM).context("enlarge the buffer")?;
    socket.connect(target).with_context(|| format!("connect to {target}"))?;
    socket.set_nonblocking(true).context("do not wait")?;
    Ok(socket)
}

/// One that the kernel does not take, since nobody answers ARP, is lost like any other.
fn send(sockets: &[UdpSocket], per_second: u32, over: &AtomicBool) -> u64 {
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while !over.load(Ordering::Acquire) {
        for _ in 0..BATCH {
            drop(sockets[sent as usize % FLOWS].send(&sent.to_be_bytes()));
            sent += 1;
        }
        let due = Duration::from_secs_f64(sent as f64 / f64::from(per_second));
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    sent
}

fn receive(sockets: &[UdpSocket], over: &AtomicBool) -> Result<Heard> {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let mut heard = vec![(begun, Duration::ZERO); FLOWS];
    let mut ended = None;
    loop {
        let mut fds: Vec<_> = sockets.iter().map(|s| PollFd::new(s, PollFlags::IN)).collect();
        poll(&mut fds, Some(&LOOK)).context("wait for datagrams")?;
        let now = Instant::now();
        for (socket, (last, longest)) in sockets.iter().zip(&mut heard) {
            if drain(socket, &mut seen) {
                *longest = (*longest).max(now - *last);
                *last = now;
            }
        }
        if over.load(Ordering::Acquire) && *ended.get_or_insert(now) + LAST < now {
            break;
        }
    }
    let ended = ended.unwrap_or(begun);
    let longest =
        heard.iter().map(|(last, longest)| (*longest).max(ended.saturating_duration_since(*last)));
    Ok(Heard { came: seen.count, longest: longest.max().unwrap_or_default(), took: ended - begun })
}

/// Takes what has come; whether it was anything.
fn drain(socket: &UdpSocket, seen: &mut Seen) -> bool {
    let (mut any, mut buffer) = (false, [0; 16]);
    loop {
        match socket.recv(&mut buffer) {
            Ok(8) => {
                any = true;
                seen.add(u64::from_be_bytes(*buffer.as_chunks().0.first().unwrap_or(&[0; 8])));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
            // A refusal that came back: the next call says what there is besides.
            Err(_) => return any,
        }
    }
}

/// Numbers that have come, each counted once.
#[derive(Debug, Default)]
struct Seen {
    words: Vec<u64>,
    count: u64,
}

impl Seen {
    fn add(&mut self, number: u64) {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.count += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_counts_once() {
        let mut seen = Seen::default();
        [3, 0, 64, 3, 700, 64].into_iter().for_each(|number| seen.add(number));
        assert_eq!(seen.count, 4);
    }
}
