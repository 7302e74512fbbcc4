use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The socket that a service tells its state to (`sd_notify`).
#[derive(Debug)]
pub struct NotifySocket {
    path: PathBuf,
    socket: UnixDatagram,
}

impl NotifySocket {
    /// Listens at `path`, which goes into `NOTIFY_SOCKET` of the service.
    ///
    /// # Errors
    /// When the path is taken.
    pub fn bind(path: PathBuf) -> Result<Self> {
        let socket = UnixDatagram::bind(&path)
            .with_context(|| format!("listen for notifications at {}", path.display()))?;
        Ok(Self { path, socket })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a message that has this line (`READY=1`).
    ///
    /// # Errors
    /// When `ended` becomes readable first (the service is gone), or nothing of the kind comes
    /// for `timeout`.
    pub fn wait_for(&self, line: &str, ended: impl AsFd, timeout: Duration) -> Result<()> {
        let timeout = Timespec::try_from(timeout).context("timeout out of range")?;
        let mut message = [0; 4096];
        loop {
            let mut fds =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)).context("wait for a notification")? == 0 {
                bail!("no {line} within {} s", timeout.tv_sec);
            }
            if fds[0].revents().is_empty() {
                bail!("it ended before {line}");
            }
            let length = self.socket.recv(&mut message).context("read a notification")?;
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|had| had == line) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> (crate::run_dir::RunDir, NotifySocket) {
        let dir = crate::run_dir::RunDir::new().unwrap();
        let socket = NotifySocket::bind(dir.path().join("notify")).unwrap();
        (dir, socket)
    }

    #[test]
    fn other_messages_are_passed_over() {
        let (_dir, socket) = bound();
        let (alive, _service) = UnixDatagram::pair().unwrap();
        let service = UnixDatagram::unbound().unwrap();
        service.send_to(b"STATUS=starting", socket.path()).unwrap();
        service.send_to(b"STATUS=up\nREADY=1\n", socket.path()).unwrap();
        socket.wait_for("READY=1", &alive, Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_service_that_ends_is_not_waited_for() {
        let (_dir, socket) = bound();
        let (ended, service) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(service);
        let error = socket.wait_for("READY=1", &ended, Duration::from_secs(60)).unwrap_err();
        assert!(error.to_string().contains("ended"), "{error}");
    }

    #[test]
    fn silence_ends_with_the_timeout() {
        let (_dir, socket) = bound();
        let (alive, _service) = UnixDatagram::pair().unwrap();
        assert!(socket.wait_for("READY=1", &alive, Duration::from_millis(10)).is_err());
    }
}
