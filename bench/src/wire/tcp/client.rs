use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with,
};

use super::{Doing, PATIENCE, interest};
use crate::wire::rig::{BULK, CLIENT, CLIENTS, TCP, after};

const FIRST_PORT: u32 = 1_024;
const PORTS: u32 = 65_536 - FIRST_PORT;
const CHUNK: usize = 256 << 10;

/// What a client has done so far; one writes, others read.
#[derive(Debug, Default)]
pub struct Done {
    /// Connections that were closed in order, answers, or bytes: what is counted.
    pub count: AtomicU64,
    /// Connections that failed.
    pub failed: AtomicU64,
}

/// Many connections of one thread at once, each from an address and port that has not been used
/// before. Call [`Client::run`] inside the namespace of the client.
pub struct Client<'a> {
    doing: Doing,
    targets: Vec<Ipv4Addr>,
    done: &'a Done,
    poll: OwnedFd,
    open: Vec<Option<OwnedFd>>,
    /// Number of the next connection: its source address and port, its target.
    next: u32,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    /// Of `parallel` connections at a time, numbered from `first`, to `targets` in turns.
    ///
    /// # Errors
    /// When the kernel has no epoll instance for us.
    pub fn new(doing: Doing, targets: Vec<Ipv4Addr>, first: u32, done: &'a Done) -> Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC).context("make an epoll instance")?;
        let open = (0..doing.parallel()).map(|_| None).collect();
        Ok(Self { doing, targets, done, poll, open, next: first, buffer: vec![0; CHUNK] })
    }

    /// Works until `over`; returns the number of the next connection.
    ///
    /// # Errors
    /// When the kernel refuses sockets.
    pub fn run(mut self, over: &AtomicBool) -> Result<u32> {
        for slot in 0..self.open.len() {
            self.start(slot)?;
        }
        let mut events = Vec::with_capacity(256);
        while !over.load(Ordering::Acquire) {
            events.clear();
            match epoll::wait(
                &self.poll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&PATIENCE),
            ) {
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error).context("wait for answers"),
            }
            for event in &events {
                self.handle(event.data.u64() as usize, event.flags)?;
            }
        }
        Ok(self.next)
    }

    fn start(&mut self, slot: usize) -> Result<()> {
        let n = self.next;
        self.next = n.wrapping_add(1);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let socket = socket.context("make a socket")?;
        set_socket_reuseaddr(&socket, true).context("reuse the address")?;
        let from = (after(CLIENT, n % CLIENTS), (FIRST_PORT + n / CLIENTS % PORTS) as u16);
        bind(&socket, &SocketAddr::from(from)).with_context(|| format!("bind to {from:?}"))?;
        let port = if self.doing == Doing::Bulk { BULK } else { TCP };
        let target = self.targets[(n / CLIENTS) as usize % self.targets.len()];
        match connect(&socket, &SocketAddr::from((target, port))) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("connect"),
        }
        epoll::add(&self.poll, &socket, EventData::new_u64(slot as u64), interest(true))
            .context("watch a connection")?;
        self.open[slot] = Some(socket);
        Ok(())
    }

    fn handle(&mut self, slot: usize, flags: EventFlags) -> Result<()> {
        let Some(socket) = &self.open[slot] else { return Ok(()) };
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            self.done.failed.fetch_add(1, Ordering::Relaxed);
            return self.start(slot);
        }
        if flags.contains(EventFlags::IN) {
            return self.answered(slot);
        }
        // Connected just now: from here on the socket can be written to at any time.
        if flags.contains(EventFlags::OUT) && self.doing != Doing::Bulk {
            let _ = send(socket, b"?", SendFlags::NOSIGNAL);
        }
        Ok(())
    }

    fn answered(&mut self, slot: usize) -> Result<()> {
        let Some(socket) = &self.open[slot] else { return Ok(()) };
        loop {
            match recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) | Ok((0, _)) => {
                    self.done.failed.fetch_add(1, Ordering::Relaxed);
                    return self.start(slot);
                }
                Ok((count, _)) => {
                    let more = if self.doing == Doing::Bulk { count as u64 } else { 1 };
                    self.done.count.fetch_add(more, Ordering::Relaxed);
                }
            }
            match self.doing {
                // The old socket goes, which closes it: nothing is unread, so by FIN.
                Doing::Connect => return self.start(slot),
                Doing::Ask => {
                    let _ = send(socket, b"?", SendFlags::NOSIGNAL);
                }
                Doing::Bulk => {}
            }
        }
    }
}
