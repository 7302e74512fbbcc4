use anyhow::{Context as _, Result};
use dataplane::mem::{HUGE_PAGE, Pages};
use portreeve_tests::host::Host;
use portreeve_tests::lab::Lab;

use super::rig::{Aim, Rig};
use crate::pages::reserved::{Pool, hold_back};

/// Nobody: how fast the generator is.
pub mod alone;
/// The kernel routes.
pub mod kernel;
/// The kernel balances.
pub mod nft;
/// The appliance.
pub mod portreeve;
/// Two AF_XDP sockets and nothing else.
pub mod l2fwd;
/// DPDK's forwarder on AF_XDP.
pub mod testpmd;
/// A proxy in user space.
pub mod haproxy;
/// Attaching programs of our own.
pub mod program;

/// Bytes of packet memory: what the appliance takes for two ports of one queue, and so the others.
const PACKET_MEMORY: u64 = (l2fwd::LAYOUT.stride * l2fwd::LAYOUT.count as usize) as u64;

/// What every device under test can be asked. It works from its start until it is dropped.
pub trait Peer {
    /// Process and name of the thread that forwards, where there is one.
    fn worker(&self) -> Option<(u32, &'static str)> {
        None
    }

    /// Its turn comes.
    ///
    /// # Errors
    /// When it has ended.
    fn wake(&self) -> Result<()> {
        Ok(())
    }

    /// Its turn is over: from here on it may not take time from others.
    ///
    /// # Errors
    /// When it has ended.
    fn rest(&self) -> Result<()> {
        Ok(())
    }

    /// What must not have happened did not happen (ports that ran out).
    ///
    /// # Errors
    /// What happened.
    fn check(&self, _rig: &Rig) -> Result<()> {
        Ok(())
    }
}

/// Which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The appliance, wasting so many nanoseconds on each packet (0: none).
    Portreeve(u64),
    /// The appliance with its packet memory in reserved huge pages.
    PortreeveHuge,
    /// The kernel's forwarding, straight to the servers.
    Kernel,
    /// The kernel's load balancing by nft.
    Nft,
    /// Bare forwarding between two AF_XDP sockets.
    L2fwd,
    /// The same with its packet memory in reserved huge pages.
    L2fwdHuge,
    /// dpdk-testpmd on net_af_xdp.
    Testpmd,
    /// haproxy in tcp mode.
    Haproxy,
    /// A program that drops everything on arrival.
    Alone,
}

/// A device at work in a rig of its own.
pub struct Running {
    /// Which one it is.
    pub kind: Kind,
    /// Where it stands.
    pub rig: Rig,
    /// The device.
    pub peer: Box<dyn Peer>,
}

impl Running {
    /// The link on which packets count as having arrived.
    #[must_use]
    pub fn end(&self) -> &Host {
        if self.kind == Kind::Alone { &self.rig.gateway } else { &self.rig.server }
    }
}

impl Kind {
    /// Whether it has a part in the UDP cases.
    #[must_use]
    pub const fn carries_udp(self) -> bool {
        !matches!(self, Self::Haproxy | Self::Alone) && self.without_huge_pages().is_none()
    }

    /// Of a device whose packet memory lies in reserved huge pages: the same without.
    #[must_use]
    pub const fn without_huge_pages(self) -> Option<Self> {
        match self {
            Self::PortreeveHuge => Some(Self::Portreeve(0)),
            Self::L2fwdHuge => Some(Self::L2fwd),
            _ => None,
        }
    }

    /// Reserved huge pages that it takes. To the others none is left.
    const fn reserved_pages(self) -> u64 {
        match self {
            Self::PortreeveHuge | Self::L2fwdHuge => PACKET_MEMORY / HUGE_PAGE as u64,
            Self::Testpmd => testpmd::PAGES,
            _ => 0,
        }
    }

    /// Whether it has a part in the TCP cases.
    #[must_use]
    pub const fn carries_tcp(self) -> bool {
        matches!(self, Self::Portreeve(_) | Self::Kernel | Self::Nft | Self::Haproxy)
    }

    /// The last part of its rows' ids.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Portreeve(0) => "portreeve",
            Self::Portreeve(_) => "portreeve-slowed",
            Self::PortreeveHuge => "portreeve-huge-pages",
            Self::Kernel => "kernel",
            Self::Nft => "nft",
            Self::L2fwd => "l2fwd",
            Self::L2fwdHuge => "l2fwd-huge-pages",
            Self::Testpmd => "testpmd",
            Self::Haproxy => "haproxy",
            Self::Alone => "generator",
        }
    }

    /// For people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Portreeve(0) => "Portreeve",
            Self::Portreeve(_) => "Portreeve, slowed on purpose",
            Self::PortreeveHuge => "Portreeve, huge pages reserved",
            Self::Kernel => "kernel forwarding",
            Self::Nft => "nft load balancing",
            Self::L2fwd => "bare AF_XDP l2fwd",
            Self::L2fwdHuge => "bare AF_XDP l2fwd, huge pages reserved",
            Self::Testpmd => "dpdk-testpmd on net_af_xdp",
            Self::Haproxy => "haproxy (tcp mode)",
            Self::Alone => "generator alone",
        }
    }

    /// Whether clients ask it for the VIP, or for a server's own address.
    #[must_use]
    pub const fn aim(self) -> Aim {
        match self {
            Self::Portreeve(_) | Self::PortreeveHuge | Self::Nft | Self::Haproxy => Aim::Vip,
            Self::Kernel | Self::L2fwd | Self::L2fwdHuge | Self::Testpmd | Self::Alone => {
                Aim::Backends
            }
        }
    }

    /// Lays out its rig and starts it there, with as many of `pool`'s pages to take as it needs.
    ///
    /// # Errors
    /// When it cannot be had on this machine; the message says why.
    pub fn start(self, lab: &Lab, pool: &mut Pool) -> Result<Running> {
        let rig = Rig::build(lab, self.id()).with_context(|| format!("rig of {}", self.label()))?;
        let pages = self.reserved_pages();
        if pages > 0 {
            pool.need(pages)?;
        }
        let _held_back = (pages == 0).then(hold_back);
        let peer = match self {
            Self::Portreeve(delay_ns) => portreeve::start(&rig, delay_ns, Pages::Transparent),
            Self::PortreeveHuge => portreeve::start(&rig, 0, Pages::Reserved),
            Self::Kernel => kernel::start(&rig),
            Self::Nft => nft::start(&rig),
            Self::L2fwd => l2fwd::start(&rig, Pages::Transparent),
            Self::L2fwdHuge => l2fwd::start(&rig, Pages::Reserved),
            Self::Testpmd => testpmd::start(&rig),
            Self::Haproxy => haproxy::start(&rig),
            Self::Alone => alone::start(&rig),
        };
        let peer = peer.with_context(|| format!("start {}", self.label()))?;
        Ok(Running { kind: self, rig, peer })
    }
}
