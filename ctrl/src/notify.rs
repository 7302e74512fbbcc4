//! Tells the service manager how we are (`sd_notify(3)`): a datagram to the socket that it names.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Started, or done with a reload.
    Ready,
    /// Taking a new configuration; [`State::Ready`] follows.
    Reloading,
    /// On the way out.
    Stopping,
}

/// Sends to the service manager, if there is one that listens.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<OsString>);

impl Notifier {
    /// To the socket in `NOTIFY_SOCKET`; silent when there is none.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()))
    }

    /// To this socket: a path, or `@` and an abstract name.
    #[must_use]
    pub fn to(socket: impl Into<OsString>) -> Self {
        Self(Some(socket.into()))
    }

    /// Sends `state`, with a line for the operator to read in `systemctl status`.
    pub fn tell(&self, state: State, status: &str) -> Result<()> {
        let Some(name) = &self.0 else { return Ok(()) };
        let told = send(name, message(state, status).as_bytes());
        told.with_context(|| format!("notify service manager at {}", name.display()))
    }
}

fn send(name: &OsStr, message: &[u8]) -> std::io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(hidden) => SocketAddr::from_abstract_name(hidden)?,
        None => SocketAddr::from_pathname(name)?,
    };
    // A service manager that does not read must not hold up the control thread.
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message, &address).map(drop)
}

fn message(state: State, status: &str) -> String {
    let state = match state {
        State::Ready => "READY=1".to_owned(),
        // Without the time, a unit of Type=notify-reload takes the message for a stale one.
        State::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()),
        State::Stopping => "STOPPING=1".to_owned(),
    };
    // A newline would begin another assignment.
    format!("{state}\nSTATUS={}\n", status.replace('\n', " "))
}

fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn ready_reaches_a_socket_with_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Notifier::to(path).tell(State::Ready, "3 services\non 2 ports").unwrap();
        assert_eq!(received(&socket), "READY=1\nSTATUS=3 services on 2 ports\n");
    }

    #[test]
    fn reloading_reaches_an_abstract_socket_with_its_time() {
        let name = format!("portreeve-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let before = monotonic_usec();
        Notifier::to(format!("@{name}")).tell(State::Reloading, "").unwrap();
        let text = received(&socket);
        let (first, time) = text.lines().next().zip(text.lines().nth(1)).unwrap();
        assert_eq!(first, "RELOADING=1");
        let time: i64 = time.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=monotonic_usec()).contains(&time));
    }

    #[test]
    fn without_a_service_manager_nothing_is_said() {
        Notifier::default().tell(State::Stopping, "").unwrap();
    }

    #[test]
    fn a_missing_socket_is_named() {
        let error = Notifier::to("/nonexistent/notify").tell(State::Ready, "").unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/notify"), "{error:#}");
    }
}
