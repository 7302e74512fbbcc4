use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::addr::Mac;

/// Operation: who has this address?
pub const REQUEST: u16 = 1;
/// Operation: this MAC has it.
pub const REPLY: u16 = 2;
/// Bytes of the message.
pub const LEN: usize = size_of::<Arp>();

/// ARP message for IPv4 over Ethernet (RFC 826).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Arp {
    /// 1: Ethernet.
    pub hardware: U16,
    /// 0x0800: IPv4.
    pub protocol: U16,
    /// 6.
    pub hardware_len: u8,
    /// 4.
    pub protocol_len: u8,
    /// [`REQUEST`] or [`REPLY`].
    pub operation: U16,
    /// MAC of the sender.
    pub sender_mac: [u8; 6],
    /// IPv4 address of the sender; 0.0.0.0 in a probe (RFC 5227).
    pub sender_ip: [u8; 4],
    /// MAC of the target; zero in a request.
    pub target_mac: [u8; 6],
    /// IPv4 address that is asked for.
    pub target_ip: [u8; 4],
}

const _: () = assert!(LEN == 28);

impl Arp {
    /// Whether this is about IPv4 over Ethernet.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.hardware.get() == 1
            && self.protocol.get() == super::eth::IPV4
            && self.hardware_len == 6
            && self.protocol_len == 4
    }

    /// A message of ours.
    #[must_use]
    pub fn new(operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Self {
        Self {
            hardware: U16::new(1),
            protocol: U16::new(super::eth::IPV4),
            hardware_len: 6,
            protocol_len: 4,
            operation: U16::new(operation),
            sender_mac: sender.0.0,
            sender_ip: sender.1,
            target_mac: target.0.0,
            target_ip: target.1,
        }
    }
}
