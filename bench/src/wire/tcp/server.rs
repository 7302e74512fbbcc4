use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, listen, recv,
    send, socket_with,
};

use super::{PATIENCE, interest};
use crate::wire::rig::{BULK, TCP};

const BACKLOG: i32 = 4_096;
/// Connections taken in one go.
const ACCEPTS: usize = 64;
const CHUNK: usize = 64 << 10;

/// Answers until `over`: on one port each byte with the same, on the other with bytes without
/// end. Closes when the other side does. Call it inside the namespace of the servers.
///
/// # Errors
/// When a port is taken, or the kernel says so.
pub fn serve(over: &AtomicBool) -> Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC).context("make an epoll instance")?;
    let mut server = Server { poll, echo: listener(TCP)?, bulk: listener(BULK)?, open: Vec::new() };
    for listener in [&server.echo, &server.bulk] {
        let data = EventData::new_u64(listener.as_raw_fd() as u64);
        epoll::add(&server.poll, listener, data, EventFlags::IN).context("watch a listener")?;
    }
    let mut events = Vec::with_capacity(256);
    while !over.load(Ordering::Acquire) {
        events.clear();
        match epoll::wait(
            &server.poll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&PATIENCE),
        ) {
            Err(Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error).context("wait for connections"),
        }
        for event in &events {
            server.handle(*event)?;
        }
    }
    Ok(())
}

struct Server {
    poll: OwnedFd,
    echo: OwnedFd,
    bulk: OwnedFd,
    /// By number of the descriptor, and whether it gets bytes without end.
    open: Vec<Option<(OwnedFd, bool)>>,
}

impl Server {
    fn handle(&mut self, event: Event) -> Result<()> {
        let fd = event.data.u64() as i32;
        if fd == self.echo.as_raw_fd() {
            return self.accept(false);
        }
        if fd == self.bulk.as_raw_fd() {
            return self.accept(true);
        }
        let slot = &mut self.open[fd as usize];
        let goes_on = match slot {
            Some((socket, false)) => echo(socket),
            Some((socket, true)) => pour(socket),
            None => return Ok(()),
        };
        if !goes_on {
            // Closed here, and thereby no longer watched.
            *slot = None;
        }
        Ok(())
    }

    fn accept(&mut self, bulk: bool) -> Result<()> {
        for _ in 0..ACCEPTS {
            let from = if bulk { &self.bulk } else { &self.echo };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match accept_with(from, flags) {
                Ok(socket) => socket,
                // Gone again before we came to it.
                Err(Errno::CONNABORTED) => continue,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error).context("accept a connection"),
            };
            let fd = socket.as_raw_fd() as usize;
            let data = EventData::new_u64(fd as u64);
            epoll::add(&self.poll, &socket, data, interest(bulk)).context("watch a connection")?;
            if self.open.len() <= fd {
                self.open.resize_with(fd + 1, || None);
            }
            self.open[fd] = Some((socket, bulk));
        }
        Ok(())
    }
}

/// Sends back what came. Returns whether the connection goes on.
fn echo(socket: &OwnedFd) -> bool {
    let mut bytes = [0; 256];
    loop {
        match recv(socket, &mut bytes[..], RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((count, _)) => {
                // The buffer of a connection that never holds more than this has room.
                if send(socket, &bytes[..count], SendFlags::NOSIGNAL).is_err() {
                    return false;
                }
            }
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
}

/// Sends until the buffer is full. Returns whether the connection goes on.
fn pour(socket: &OwnedFd) -> bool {
    loop {
        match send(socket, &[0x70; CHUNK], SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
}

fn listener(port: u16) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let socket = socket.context("make a listener")?;
    set_socket_reuseaddr(&socket, true).context("reuse the address")?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).context("bind a listener")?;
    listen(&socket, BACKLOG).context("listen")?;
    Ok(socket)
}
