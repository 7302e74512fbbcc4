//! A client that has never heard of anybody: before each question it forgets who has which address.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::host::Host;

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_millis(20);

/// Asks one question after the other, from `interface` of `host`, until it is `over`; the longest time without an answer.
///
/// # Errors
/// When the host cannot forget, or no socket can be made.
pub fn longest_silence(
    host: &Host,
    interface: &str,
    target: SocketAddr,
    over: &AtomicBool,
) -> Result<Duration> {
    let socket = host.enter(|| UdpSocket::bind("0.0.0.0:0"))??;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut heard, mut longest) = (Instant::now(), Duration::ZERO);
    while !over.load(Ordering::Acquire) {
        host.ip(&["neigh", "flush", "dev", interface])?;
        // While nobody answers ARP the kernel says so; that is silence, too.
        drop(socket.send(b"?"));
        if socket.recv(&mut [0; 8]).is_ok() {
            longest = longest.max(heard.elapsed());
            heard = Instant::now();
        }
    }
    Ok(longest.max(heard.elapsed()))
}
