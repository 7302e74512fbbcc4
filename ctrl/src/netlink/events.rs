//! Multicast messages of the kernel. The socket's buffer is the only queue: what does not fit is
//! reported as lost, never silently missing.

use std::io;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::packet_core::NetlinkBuffer;
use rtnetlink::sys::{Socket, SocketAddr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kernel never sends longer datagrams (32 KiB since Linux 4.9), so none is cut.
const DATAGRAM_MAX: usize = 64 * 1024;
/// Datagrams taken in one go, so that a flood cannot hold the control thread.
const DATAGRAMS_PER_DRAIN: usize = 4096;

/// A loss can be reported while nothing is left to read, and from then on the kernel keeps
/// everything back until the report has been taken.
const WAKING: Interest = Interest::READABLE.add(Interest::ERROR);

/// What a socket has to say.
pub(super) enum Event<'a> {
    /// A message of this type.
    Message {
        /// `nlmsg_type`.
        kind: u16,
        /// What follows the netlink header.
        payload: &'a [u8],
    },
    /// Messages were lost, or could not be read.
    Lost,
}

/// One socket that is a member of multicast groups.
pub(super) struct Events {
    socket: AsyncFd<Socket>,
    datagram: Vec<u8>,
}

impl Events {
    /// Joins `groups` of `protocol`, with room for `buffer` bytes of messages (counted as the
    /// kernel does, which is several times their length).
    pub(super) fn subscribe(protocol: isize, groups: &[u32], buffer: usize) -> Result<Self> {
        let socket = listen(protocol, groups, buffer)
            .with_context(|| format!("subscribe to groups {groups:?} of netlink {protocol}"))?;
        Ok(Self { socket, datagram: Vec::with_capacity(DATAGRAM_MAX) })
    }

    /// Resolves when there may be something to drain. Cancellation-safe: takes nothing.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.socket.ready(WAKING).await.map(drop)
    }

    /// Shows `visit` what has arrived, without waiting.
    pub(super) fn drain(&mut self, mut visit: impl FnMut(Event<'_>)) -> io::Result<()> {
        let mut left = DATAGRAMS_PER_DRAIN;
        while left > 0 {
            match self.receive() {
                Ok((length, sender)) if self.is_whole(length) && sender.port_number() == 0 => {
                    left -= 1;
                    messages(&self.datagram, &mut visit);
                }
                // Only the kernel may tell us about the kernel.
                Ok((_, sender)) if sender.port_number() != 0 => left -= 1,
                Ok(_) => visit(Event::Lost),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                    visit(Event::Lost);
                    // The kernel goes on losing messages, without saying so again, until the
                    // queue has been empty once: it must be emptied before a new dump is taken.
                    left = usize::MAX;
                }
                // Set by the kernel when it could not make a message.
                Err(error) => {
                    visit(Event::Lost);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<(usize, SocketAddr)> {
        let mut receive = |socket: &Socket| {
            self.datagram.clear();
            socket.recv_from(&mut self.datagram, 0)
        };
        // Tokio takes and clears one kind of readiness at a time.
        match self.socket.try_io(Interest::READABLE, &mut receive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.try_io(Interest::ERROR, receive)
            }
            received => received,
        }
    }

    fn is_whole(&self, length: usize) -> bool {
        length <= self.datagram.len()
    }
}

fn listen(protocol: isize, groups: &[u32], buffer: usize) -> io::Result<AsyncFd<Socket>> {
    let mut socket = Socket::new(protocol)?;
    socket.set_non_blocking(true)?;
    // Beyond net.core.rmem_max needs CAP_NET_ADMIN; without it the limit has to do.
    if setsockopt(&socket, sockopt::RcvBufForce, &buffer).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &buffer)?;
    }
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    #[expect(
        deprecated,
        reason = "its successor is unsafe; what that asks for, one descriptor owned as long as the socket lives, holds here"
    )]
    AsyncFd::with_interest(socket, WAKING)
}

fn messages(mut datagram: &[u8], visit: &mut impl FnMut(Event<'_>)) {
    while !datagram.is_empty() {
        let Ok(message) = NetlinkBuffer::new_checked(datagram) else {
            return visit(Event::Lost);
        };
        visit(Event::Message { kind: message.message_type(), payload: message.payload() });
        let aligned = (message.length() as usize).next_multiple_of(4);
        datagram = datagram.get(aligned..).unwrap_or_default();
    }
}
