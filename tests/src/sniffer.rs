//! Sees every frame of an interface through an AF_PACKET socket: sent or received, before the
//! kernel's own stack decides anything. On a port with the steering program attached, frames that
//! go to the appliance's sockets never get this far: sniff at the other end of the link.

use std::io::{IoSliceMut, PipeReader, PipeWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::host::Host;

/// Bytes of a frame that a predicate gets to see: all headers, and some.
const SNAP: usize = 512;
/// Matching frames kept for the failure message.
const SAMPLES: usize = 8;
const BUFFER: usize = 64 << 20;

/// Counts frames until it is stopped.
#[derive(Debug)]
pub struct Sniffer {
    stop: PipeWriter,
    thread: JoinHandle<Result<Capture>>,
}

/// What went by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// Frames of the interface, both directions.
    pub frames: u64,
    /// Those that the predicate picked.
    pub matching: u64,
    /// Frames that the socket had no room for: above 0, `matching` may be too low.
    pub lost: u64,
    /// The first few matching frames, cut to their headers.
    pub samples: Vec<Vec<u8>>,
}

impl Sniffer {
    /// Counts the frames of `interface` on `host` for which `pick` holds; `pick` sees the frame
    /// from its Ethernet header on. Frames from now on are seen, none is missed while this returns.
    ///
    /// # Errors
    /// Without root, or when there is no such interface.
    pub fn start(
        host: &Host,
        interface: &str,
        pick: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Result<Self> {
        let index = host.enter(|| nix::net::if_::if_nametoindex(interface))?;
        let index = index.with_context(|| format!("{interface} on {}", host.name()))?;
        let socket = host.enter(open)?.context("open a packet socket")?;
        let (stopped, stop) = std::io::pipe().context("make a pipe")?;
        let thread = std::thread::spawn(move || capture(&socket, &stopped, index as usize, pick));
        Ok(Self { stop, thread })
    }

    /// Ends the capture; what has arrived until now is counted.
    ///
    /// # Errors
    /// When the socket failed, or frames were lost, so that the counts prove nothing.
    pub fn stop(self) -> Result<Capture> {
        drop(self.stop);
        let capture =
            self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ensure!(capture.lost == 0, "the sniffer lost {} frames", capture.lost);
        Ok(capture)
    }
}

fn open() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, Some(SockProtocol::EthAll))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    Ok(socket)
}

fn capture(
    socket: &OwnedFd,
    stopped: &PipeReader,
    interface: usize,
    pick: impl Fn(&[u8]) -> bool,
) -> Result<Capture> {
    let mut seen = Capture::default();
    let mut buffer = [0_u8; SNAP];
    loop {
        while let Some(length) = next(socket, &mut buffer, interface, &mut seen.lost)? {
            let Some(length) = length else { continue };
            let frame = &buffer[..length];
            seen.frames += 1;
            if pick(frame) {
                seen.matching += 1;
                if seen.samples.len() < SAMPLES {
                    seen.samples.push(frame.to_vec());
                }
            }
        }
        let mut fds = [PollFd::new(socket, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        poll(&mut fds, None).context("wait for frames")?;
        let (frames, stop) = (fds[0].revents(), fds[1].revents());
        if !stop.is_empty() && frames.is_empty() {
            return Ok(seen);
        }
    }
}

/// The next frame: `None` when there is none, `Some(None)` when it is another interface's.
fn next(
    socket: &OwnedFd,
    buffer: &mut [u8],
    interface: usize,
    lost: &mut u64,
) -> Result<Option<Option<usize>>> {
    let mut control = nix::cmsg_space!(u32);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        match recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(Errno::EAGAIN) => return Ok(None),
            other => other.context("receive a frame")?,
        };
    for control in message.cmsgs().context("read the control messages")? {
        if let ControlMessageOwned::RxqOvfl(count) = control {
            *lost = u64::from(count);
        }
    }
    let ours = message.address.is_some_and(|from| from.ifindex() == interface);
    Ok(Some(ours.then_some(message.bytes)))
}

/// Source and destination of the IPv4, IPv6 or ARP packet in a frame (of ARP, the sender's and
/// the target's protocol address).
#[must_use]
pub fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| Some(IpAddr::from(Ipv4Addr::from(*frame.get(at..)?.first_chunk::<4>()?)));
    let v6 = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*frame.get(at..)?.first_chunk::<16>()?)));
    match frame.get(12..14)? {
        [0x08, 0x00] => Some((v4(26)?, v4(30)?)),
        [0x08, 0x06] => Some((v4(28)?, v4(38)?)),
        [0x86, 0xdd] => Some((v6(22)?, v6(38)?)),
        _ => None,
    }
}

/// Whether a frame comes from or goes to one of these addresses.
#[must_use]
pub fn touches(frame: &[u8], wanted: &[IpAddr]) -> bool {
    addresses(frame).is_some_and(|(from, to)| wanted.contains(&from) || wanted.contains(&to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_both_families_and_arp() {
        let mut v4 = vec![0; 34];
        v4[12] = 8;
        v4[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let (client, server) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!(addresses(&v4), Some((client, server)));
        assert!(touches(&v4, &[server]));
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&[8, 6]);
        arp[28..32].copy_from_slice(&[10, 0, 0, 2]);
        arp[38..42].copy_from_slice(&[10, 0, 0, 1]);
        assert_eq!(addresses(&arp), Some((server, client)));
        let mut v6 = vec![0; 54];
        v6[12..14].copy_from_slice(&[0x86, 0xdd]);
        v6[37] = 1;
        v6[53] = 2;
        assert_eq!(addresses(&v6), Some(("::1".parse().unwrap(), "::2".parse().unwrap())));
    }

    #[test]
    fn a_cut_frame_has_no_addresses() {
        assert_eq!(addresses(&[0; 13]), None);
        let mut cut = vec![0; 33];
        cut[12] = 8;
        assert_eq!(addresses(&cut), None);
    }
}
