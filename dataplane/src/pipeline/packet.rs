use crate::addr::{Addr, Family, L4Port, Mac, Proto};
use crate::drop_reason::DropReason;
use crate::wire::tcp::Flags;

/// What a packet is: offsets and values, no borrowed bytes, so that the frame stays free to be
/// written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Source MAC: who on the link sent it to us, and so where our own answers go.
    pub from: Mac,
    /// Destination MAC.
    pub to: Mac,
    /// What it carries.
    pub body: Body,
}

impl Packet {
    /// Sent to one station, not to a group: only then may it be answered with an error.
    #[inline]
    #[must_use]
    pub const fn to_us_alone(&self) -> bool {
        self.to.0[0] & 1 == 0
    }
}

/// What an Ethernet frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing that we read: why it ends here.
    Broken(DropReason),
    /// A question or statement about an IPv4 neighbour.
    Arp(Arp),
    /// An IP packet.
    Ip(Ip),
    /// The IP packet in which somebody on the link asks who has this address.
    Solicitation(Ip, Addr),
}

/// An ARP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// A request, not a reply.
    pub is_request: bool,
    /// MAC of the sender.
    pub sender_mac: Mac,
    /// Address of the sender; 0.0.0.0 in a probe.
    pub sender: Addr,
    /// Address in question.
    pub target: Addr,
}

/// An IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    pub(super) l3: u16,
    pub(super) l4: u16,
    /// Length of header and payload as the header says, in bytes.
    pub len: u16,
    /// Hops left.
    pub ttl: u8,
    /// IPv4 without DF: whoever forwards it may cut it.
    pub may_fragment: bool,
    /// What it carries.
    pub upper: Upper,
}

const _: () = assert!(size_of::<Ip>() == 48, "with both MACs an IP packet fills one cache line");

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upper {
    /// TCP or UDP.
    Transport(Transport),
    /// ICMP or ICMPv6 of this type.
    Icmp {
        /// Message type.
        kind: u8,
    },
    /// A fragment of something.
    Fragment,
    /// Any other protocol.
    Other,
}

/// The ports of a TCP or UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// TCP or UDP.
    pub proto: Proto,
    /// Source port, host order.
    pub src: L4Port,
    /// Destination port, host order.
    pub dst: L4Port,
    /// Control bits; none for UDP.
    pub flags: Flags,
}

impl Ip {
    /// Offset of the IP header from the start of the frame, in bytes.
    #[inline]
    #[must_use]
    pub fn l3(&self) -> usize {
        usize::from(self.l3)
    }

    /// Offset of the transport header from the start of the frame, in bytes.
    #[inline]
    #[must_use]
    pub fn l4(&self) -> usize {
        usize::from(self.l4)
    }

    /// IPv4 or IPv6.
    #[inline]
    #[must_use]
    pub fn family(&self) -> Family {
        self.dst.family()
    }

    /// Bytes from the transport header to the end of the packet.
    #[inline]
    #[must_use]
    pub fn l4_len(&self) -> u16 {
        self.len - (self.l4 - self.l3)
    }
}
