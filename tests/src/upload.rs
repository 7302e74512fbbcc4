//! Uploads over TCP, looked at where they arrive.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::Host;

/// Sends bytes to `target` and returns what `listener` got.
///
/// # Errors
/// When no connection comes, or it stalls for twenty seconds.
pub fn upload(
    client: &Host,
    target: SocketAddr,
    listener: &TcpListener,
    bytes: &[u8],
) -> Result<Vec<u8>> {
    let send = || {
        let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(10))
            .with_context(|| format!("connect to {target}"))?;
        stream.set_write_timeout(Some(Duration::from_secs(20))).context("set the timeout")?;
        stream.write_all(bytes).context("send")?;
        Ok::<_, anyhow::Error>(stream)
    };
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| client.enter(|| send().map(drop))?);
        let mut received = Vec::new();
        let taken = take(listener, &mut received);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        taken?;
        Ok(received)
    })
}

/// Reads one whole connection; a client that never comes or stalls is an error.
fn take(listener: &TcpListener, received: &mut Vec<u8>) -> Result<()> {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    ensure!(poll(&mut fds, Some(&patience))? > 0, "no connection came");
    let (mut stream, _) = listener.accept().context("accept")?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).context("set the timeout")?;
    let ended = stream.read_to_end(received);
    ended.with_context(|| format!("read after {} bytes", received.len())).map(drop)
}
