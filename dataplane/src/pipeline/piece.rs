//! What a fragment is, read from its bytes when it has come as far as that.

use super::packet::{Ip, Transport, Upper};
use super::parse::header;
use crate::addr::{Family, Proto};
use crate::drop_reason::DropReason;
use crate::fragment::{Key, Note, Part};
use crate::wire::tcp::Flags;
use crate::wire::{ipv4, ipv6, tcp, udp};

const TCP: u8 = Proto::Tcp as u8;
const UDP: u8 = Proto::Udp as u8;

/// A fragment of a TCP or UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The datagram that it is a part of.
    pub key: Key,
    /// Which part.
    pub part: Part,
    /// What the first one has besides.
    pub first: Option<First>,
}

/// The transport header that the first fragment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// Its ports.
    pub transport: Transport,
    /// Its offset in the frame.
    pub l4: usize,
}

impl Piece {
    /// Reads the fragment in `bytes`, the first chunk, that `parse` found to be `ip`.
    ///
    /// # Errors
    /// [`DropReason::BadFragment`] for what no stack sends: tiny first fragments (RFC 1858, RFC 3128,
    /// RFC 7112), lengths that are no multiple of eight, ends beyond 65 535.
    /// [`DropReason::Fragment`] when there are no ports in any piece.
    /// [`DropReason::BadChecksum`] for UDP over IPv6 without one.
    pub fn read(bytes: &[u8], ip: &Ip) -> Result<Self, DropReason> {
        match ip.family() {
            Family::V4 => read_v4(bytes, ip),
            Family::V6 => read_v6(bytes, ip),
        }
    }

    /// What the first piece says of the others.
    #[must_use]
    pub fn note(first: &First, ident: u32) -> Note {
        let Transport { proto, src, dst, .. } = first.transport;
        Note { proto, src, dst, ident }
    }

    /// The packet as if the ports stood in it. Control bits are those of the first piece: the others
    /// change no state.
    #[must_use]
    pub fn with_ports(&self, ip: &Ip, note: &Note) -> (Ip, Transport) {
        let Note { proto, src, dst, .. } = *note;
        let flags = self.first.map_or(Flags::default(), |first| first.transport.flags);
        let transport = Transport { proto, src, dst, flags };
        (Ip { upper: Upper::Transport(transport), ..*ip }, transport)
    }
}

fn read_v4(bytes: &[u8], ip: &Ip) -> Result<Piece, DropReason> {
    let fixed = header::<ipv4::Ipv4>(bytes, ip.l3())?;
    let field = fixed.fragment.get();
    let part = part(
        usize::from(field & ipv4::OFFSET) * 8,
        usize::from(ip.l4_len()),
        field & ipv4::MF != 0,
    )?;
    let proto = fixed.proto;
    if !matches!(proto, TCP | UDP) {
        return Err(DropReason::Fragment);
    }
    let first = match part.start {
        0 => Some(first(bytes, ip.l4(), usize::from(part.end), proto)?),
        8 if proto == TCP => return Err(DropReason::BadFragment),
        _ => None,
    };
    let key = Key { src: ip.src, dst: ip.dst, ident: u32::from(fixed.id.get()), proto };
    Ok(Piece { key, part, first })
}

/// `l4` is where the fragment header lies.
fn read_v6(bytes: &[u8], ip: &Ip) -> Result<Piece, DropReason> {
    let fragment = header::<ipv6::Fragment>(bytes, ip.l4())?;
    let field = fragment.offset.get();
    let len = usize::from(ip.l4_len()).saturating_sub(ipv6::FRAGMENT_LEN);
    let start = usize::from(field & ipv6::FRAGMENT_OFFSET);
    let part = part(start, len, field & ipv6::MORE_FRAGMENTS != 0)?;
    let first = match part.start {
        0 => Some(first_v6(bytes, ip, fragment.next_header)?),
        8 if fragment.next_header == TCP => return Err(DropReason::BadFragment),
        _ => None,
    };
    let key = Key { src: ip.src, dst: ip.dst, ident: fragment.id.get(), proto: 0 };
    Ok(Piece { key, part, first })
}

fn part(start: usize, len: usize, more: bool) -> Result<Part, DropReason> {
    let uneven = more && !len.is_multiple_of(8);
    let end = u16::try_from(start + len).map_err(|_| DropReason::BadFragment)?;
    if len == 0 || uneven {
        return Err(DropReason::BadFragment);
    }
    Ok(Part { start: start as u16, end, last: !more })
}

fn first_v6(bytes: &[u8], ip: &Ip, next_header: u8) -> Result<First, DropReason> {
    let end = bytes.len().min(ip.l3() + usize::from(ip.len));
    let packet = &bytes[ip.l3()..end];
    let behind = ip.l4() - ip.l3() + ipv6::FRAGMENT_LEN;
    match ipv6::walk_from(packet, next_header, behind) {
        Ok(ipv6::Upper::Transport { proto, offset }) => {
            let room = usize::from(ip.len).checked_sub(offset).ok_or(DropReason::BadFragment)?;
            let first = first(bytes, ip.l3() + offset, room, proto)?;
            let udp = header::<udp::Udp>(bytes, first.l4)?;
            // Not allowed over IPv6 (RFC 8200 section 8.1).
            let unsummed = proto == UDP && udp.checksum.get() == 0;
            if unsummed { Err(DropReason::BadChecksum) } else { Ok(first) }
        }
        Ok(ipv6::Upper::Fragment { .. }) | Err(ipv6::WalkError::Truncated) => {
            Err(DropReason::BadFragment)
        }
        Err(ipv6::WalkError::Refused) => Err(DropReason::ExtensionHeaders),
    }
}

/// The transport header must lie in the first fragment as a whole; it does in all that stacks send.
fn first(bytes: &[u8], l4: usize, room: usize, proto: u8) -> Result<First, DropReason> {
    let transport = match proto {
        TCP => {
            let tcp = header::<tcp::Tcp>(bytes, l4).map_err(|_| DropReason::BadFragment)?;
            let header_len = usize::from(tcp.offset >> 4) * 4;
            if header_len < tcp::LEN || header_len > room {
                return Err(DropReason::BadFragment);
            }
            let (src, dst) = (tcp.src.get(), tcp.dst.get());
            Transport { proto: Proto::Tcp, src, dst, flags: Flags(tcp.flags) }
        }
        UDP => {
            let udp = header::<udp::Udp>(bytes, l4).map_err(|_| DropReason::BadFragment)?;
            // The length is that of the whole datagram, which is longer than its first part.
            if room < udp::LEN || usize::from(udp.len.get()) <= room {
                return Err(DropReason::BadFragment);
            }
            let (src, dst) = (udp.src.get(), udp.dst.get());
            Transport { proto: Proto::Udp, src, dst, flags: Flags::default() }
        }
        _ => return Err(DropReason::Fragment),
    };
    Ok(First { transport, l4 })
}
