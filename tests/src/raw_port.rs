use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, bind, socket};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::host::Host;

/// Sends frames as they are through an interface.
#[derive(Debug)]
pub struct RawPort {
    socket: OwnedFd,
}

impl RawPort {
    /// On `interface` of `host`.
    ///
    /// # Errors
    /// Without root, or when there is no such interface.
    pub fn open(host: &Host, interface: &str) -> Result<Self> {
        host.enter(|| {
            let mut all = getifaddrs().context("list the interfaces")?;
            let link = all.find_map(|one| {
                one.address?.as_link_addr().copied().filter(|_| one.interface_name == interface)
            });
            let link = link.with_context(|| format!("{interface} on {}", host.name()))?;
            let (family, kind) = (AddressFamily::Packet, SockType::Raw);
            // Without a protocol it receives nothing.
            let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None);
            let socket = socket.context("open a packet socket")?;
            bind(socket.as_raw_fd(), &link).context("bind it")?;
            Ok(Self { socket })
        })?
    }

    /// Sends all of `frames`; one that the link itself does not take is left out. Returns how
    /// many went.
    ///
    /// # Errors
    /// What the kernel says, other than that the far end of the link had no room.
    pub fn send(&self, frames: &[Vec<u8>]) -> Result<usize> {
        let slices: Vec<_> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut controls: Vec<_> = frames.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<_> = slices
            .iter()
            .zip(&mut controls)
            .map(|(slice, control)| MMsgHdr::new(slice, control))
            .collect();
        let (mut at, mut sent) = (0, 0);
        while at < messages.len() {
            match sendmmsg(&self.socket, &mut messages[at..], SendFlags::empty()) {
                Ok(count) => {
                    at += count;
                    sent += count;
                }
                Err(Errno::NOBUFS) => at += 1,
                Err(error) => return Err(error).context("send raw frames"),
            }
        }
        Ok(sent)
    }
}
