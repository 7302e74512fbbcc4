use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// Turns without work before an adaptive worker sleeps.
const SPIN_TURNS: u32 = 256;
/// Longest sleep: flows expire meanwhile.
const SLEEP: Duration = Duration::from_millis(100);
/// Longest sleep while frames wait for a next hop.
const SLEEP_WAITING: Duration = Duration::from_millis(10);
const WAKER: Token = Token(usize::MAX);
/// Whichever it was: the worker looks at all of them.
const SOCKET: Token = Token(0);

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PollMode {
    /// Spins for ever: lowest latency, a core of its own.
    Busy,
    /// Spins a little, then sleeps until a packet comes.
    #[default]
    Adaptive,
    /// Sleeps at once.
    Interrupt,
}

/// Sleeping on the sockets and on control's waker.
#[derive(Debug)]
pub struct Idle {
    poll: Poll,
    events: Events,
    mode: PollMode,
}

/// Lets another thread add to what a worker sleeps on.
#[derive(Debug)]
pub struct Watch(Registry);

impl Watch {
    /// Ends sleeps when there is something to read from `fd`, until that is closed.
    ///
    /// # Errors
    /// What epoll says.
    pub fn add(&self, fd: RawFd) -> io::Result<()> {
        self.0.register(&mut SourceFd(&fd), SOCKET, Interest::READABLE)
    }
}

impl Idle {
    /// Watches `fds`; the waker ends a sleep from any thread.
    ///
    /// # Errors
    /// What epoll or eventfd say.
    pub fn new(mode: PollMode, fds: &[RawFd]) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        for fd in fds {
            poll.registry().register(&mut SourceFd(fd), SOCKET, Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok((Self { poll, events: Events::with_capacity(fds.len() + 1), mode }, waker))
    }

    /// What it sleeps on, for sockets that come later.
    ///
    /// # Errors
    /// When there are no more file descriptors.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch(self.poll.registry().try_clone()?))
    }

    /// Whether a worker that found nothing for `idle_turns` turns shall sleep.
    #[must_use]
    pub fn should_sleep(&self, idle_turns: u32) -> bool {
        match self.mode {
            PollMode::Busy => false,
            PollMode::Adaptive => idle_turns >= SPIN_TURNS,
            PollMode::Interrupt => idle_turns >= 1,
        }
    }

    /// Sleeps until a packet comes, control wakes us, or something may be due.
    pub fn wait(&mut self, frames_wait: bool) {
        let limit = if frames_wait { SLEEP_WAITING } else { SLEEP };
        // Interrupted or not: the loop looks at everything anyway.
        drop(self.poll.poll(&mut self.events, Some(limit)));
    }
}
