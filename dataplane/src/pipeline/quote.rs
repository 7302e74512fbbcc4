//! What an ICMP error is about: the beginning of a packet that we sent, as the error quotes it.

use super::packet::{Ip, Transport, Upper};
use super::parse::header;
use crate::addr::{Addr, Family, Proto};
use crate::drop_reason::DropReason;
use crate::wire::tcp::Flags;
use crate::wire::{icmp, ipv4, ipv6};

/// Bytes of the transport header that every error quotes (RFC 792): the ports are among them.
const TRANSPORT_MIN: usize = 8;

/// A quoted packet, seen as if its addressee had answered it: the error goes where that answer would
/// go. So source and destination are swapped here, ports as well; offsets are those of the quoted
/// headers in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The answer.
    pub ip: Ip,
    /// Its ports; no control bits.
    pub transport: Transport,
}

/// Reads what the error `outer` in `bytes` (the first chunk) quotes. Its checksums are not looked at:
/// that of the header may be one that the router did not keep up, and of the transport there is
/// only a part.
///
/// # Errors
/// [`DropReason::IcmpError`] when the quote does not lead to a flow: it is too short, not TCP or UDP,
/// the middle of something, or was not sent by the address that is told of it.
pub fn read(bytes: &[u8], outer: &Ip) -> Result<Quote, DropReason> {
    let end = bytes.len().min(outer.l3() + usize::from(outer.len));
    let bytes = &bytes[..end];
    let l3 = outer.l4() + icmp::LEN;
    let inner = match outer.family() {
        Family::V4 => inner_v4(bytes, l3),
        Family::V6 => inner_v6(bytes, l3),
    };
    let inner = inner.ok_or(DropReason::IcmpError)?;
    if inner.src != outer.dst {
        return Err(DropReason::IcmpError);
    }
    let ports = bytes.get(inner.l4..inner.l4 + TRANSPORT_MIN).ok_or(DropReason::IcmpError)?;
    let proto = match inner.proto {
        6 => Proto::Tcp,
        17 => Proto::Udp,
        _ => return Err(DropReason::IcmpError),
    };
    let transport = Transport {
        proto,
        src: u16::from_be_bytes([ports[2], ports[3]]),
        dst: u16::from_be_bytes([ports[0], ports[1]]),
        flags: Flags::default(),
    };
    let ip = Ip {
        src: inner.dst,
        dst: inner.src,
        l3: l3 as u16,
        l4: inner.l4 as u16,
        len: (end - l3) as u16,
        ttl: outer.ttl,
        may_fragment: false,
        upper: Upper::Transport(transport),
    };
    Ok(Quote { ip, transport })
}

/// Whether the error `outer` in `bytes` says that somebody cannot be reached.
#[must_use]
pub fn says_unreachable(bytes: &[u8], outer: &Ip) -> bool {
    let message = bytes.get(outer.l4()..outer.l4() + 2);
    message.is_some_and(|message| icmp::is_unreachable(outer.family(), message[0], message[1]))
}

/// The headers of the quoted packet.
struct Inner {
    src: Addr,
    dst: Addr,
    proto: u8,
    l4: usize,
}

fn inner_v4(bytes: &[u8], l3: usize) -> Option<Inner> {
    let ip = header::<ipv4::Ipv4>(bytes, l3).ok()?;
    let whole_header = ip.version_ihl >> 4 == 4 && ip.header_len() >= ipv4::LEN;
    let begins = ip.fragment.get() & ipv4::OFFSET == 0;
    (whole_header && begins).then(|| Inner {
        src: Addr::v4(ip.src),
        dst: Addr::v4(ip.dst),
        proto: ip.proto,
        l4: l3 + ip.header_len(),
    })
}

fn inner_v6(bytes: &[u8], l3: usize) -> Option<Inner> {
    let ip = header::<ipv6::Ipv6>(bytes, l3).ok()?;
    if ip.version_class_flow[0] >> 4 != 6 {
        return None;
    }
    let (src, dst) = (Addr::v6(ip.src), Addr::v6(ip.dst));
    let packet = &bytes[l3..];
    let upper = match ipv6::walk(packet, ip.next_header).ok()? {
        ipv6::Upper::Fragment { offset } => {
            let fragment = header::<ipv6::Fragment>(packet, offset).ok()?;
            if fragment.offset.get() & ipv6::FRAGMENT_OFFSET != 0 {
                return None;
            }
            ipv6::walk_from(packet, fragment.next_header, offset + ipv6::FRAGMENT_LEN).ok()?
        }
        whole @ ipv6::Upper::Transport { .. } => whole,
    };
    let ipv6::Upper::Transport { proto, offset } = upper else { return None };
    (!src.is_v4() && !dst.is_v4()).then_some(Inner { src, dst, proto, l4: l3 + offset })
}
