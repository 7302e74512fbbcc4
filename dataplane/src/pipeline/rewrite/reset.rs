use std::mem::offset_of;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::super::packet::Ip;
use super::super::plan::Translate;
use super::Link;
use crate::addr::{Addr, Family, L4Port, Proto};
use crate::wire::tcp::{Flags, Tcp};
use crate::wire::{checksum, eth, ipv4, ipv6, tcp};
use crate::xsk::View;

/// Turns a TCP packet into the RST that answers it (RFC 9293 section 3.10.7.1).
pub(super) fn answer(view: &mut View<'_>, link: Link, ip: &Ip) {
    let Some(segment) = segment(view.bytes(), ip) else { return };
    let (seq, ack, flags) = if Flags(segment.flags).any(Flags::ACK) {
        (segment.ack.get(), 0, Flags::RST)
    } else {
        (0, segment.seq.get().wrapping_add(sequence_len(ip, &segment)), Flags::RST | Flags::ACK)
    };
    let src = (ip.dst, segment.dst.get());
    let dst = (ip.src, segment.src.get());
    write(view, link, ip.family(), Reset { src, dst, seq, ack, flags });
}

/// Turns a TCP packet into an RST to whom it was going to: as if its sender had sent that, so
/// that the numbers fit.
pub(super) fn onward(view: &mut View<'_>, link: Link, ip: &Ip, to: &Translate) {
    let Some(segment) = segment(view.bytes(), ip) else { return };
    let flags = Flags::RST | (segment.flags & Flags::ACK);
    let reset = Reset {
        src: to.src,
        dst: to.dst, // What the other end expects next: a SYN it has counted already.
        seq: segment.seq.get().wrapping_add(u32::from(Flags(segment.flags).any(Flags::SYN))),
        ack: segment.ack.get(),
        flags,
    };
    write(view, link, ip.family(), reset);
}

/// Writes the RST that its sender would send who wants nothing any more of a connection that began with
/// the number before `seq`.
pub(super) fn forget(
    view: &mut View<'_>,
    link: Link,
    (src, dst): ((Addr, L4Port), (Addr, L4Port)),
    seq: u32,
) {
    let (family, ethertype) = match dst.0.family() {
        Family::V4 => (Family::V4, eth::IPV4),
        Family::V6 => (Family::V6, eth::IPV6),
    };
    write(view, link, family, Reset { src, dst, seq, ack: 0, flags: Flags::RST });
    view.bytes_mut()[12..14].copy_from_slice(&ethertype.to_be_bytes());
}

/// The sequence number of a TCP packet.
#[inline(always)]
pub fn sequence_number(bytes: &[u8], ip: &Ip) -> Option<u32> {
    let number = bytes.get(ip.l4() + offset_of!(Tcp, seq)..)?;
    number.first_chunk().map(|number| u32::from_be_bytes(*number))
}

struct Reset {
    src: (Addr, L4Port),
    dst: (Addr, L4Port),
    seq: u32,
    ack: u32,
    flags: u8,
}

fn segment(bytes: &[u8], ip: &Ip) -> Option<Tcp> {
    Tcp::read_from_prefix(bytes.get(ip.l4()..)?).ok().map(|(tcp, _)| tcp)
}

/// Sequence numbers that a segment takes: its payload, and one each for SYN and FIN.
fn sequence_len(ip: &Ip, segment: &Tcp) -> u32 {
    let payload = u32::from(ip.l4_len()).saturating_sub(u32::from(segment.offset >> 4) * 4);
    let flags = Flags(segment.flags);
    payload + u32::from(flags.any(Flags::SYN)) + u32::from(flags.any(Flags::FIN))
}

fn write(view: &mut View<'_>, link: Link, family: Family, reset: Reset) {
    let mut segment = Tcp {
        src: U16::new(reset.src.1),
        dst: U16::new(reset.dst.1),
        seq: U32::new(reset.seq),
        ack: U32::new(reset.ack),
        offset: (tcp::LEN as u8 / 4) << 4,
        flags: reset.flags,
        window: U16::ZERO,
        checksum: U16::ZERO,
        urgent: U16::ZERO,
    };
    let (src, dst) = (reset.src.0, reset.dst.0);
    let pseudo = checksum::pseudo(&src, &dst, Proto::Tcp as u8, tcp::LEN as u16);
    segment.checksum = U16::new(!checksum::fold(pseudo + checksum::sum(segment.as_bytes())));
    let l4 = write_ip_header(view, family, (src, dst), Proto::Tcp as u8, tcp::LEN);
    link.write(view.bytes_mut());
    view.bytes_mut()[l4..].copy_from_slice(segment.as_bytes());
}

/// Writes an IP header of ours behind the Ethernet header and cuts the packet to `payload` bytes
/// behind it; returns where those begin.
pub(super) fn write_ip_header(
    view: &mut View<'_>,
    family: Family,
    (src, dst): (Addr, Addr),
    proto: u8,
    payload: usize,
) -> usize {
    match family {
        Family::V4 => {
            let len = ipv4::LEN + payload;
            let header = ipv4::Ipv4::new(src.v4_octets(), dst.v4_octets(), proto, len as u16);
            put(view, header.as_bytes(), payload)
        }
        Family::V6 => {
            let hops = ipv4::DEFAULT_TTL;
            let header = ipv6::Ipv6::new(*src.octets(), *dst.octets(), proto, payload as u16, hops);
            put(view, header.as_bytes(), payload)
        }
    }
}

fn put(view: &mut View<'_>, header: &[u8], payload: usize) -> usize {
    let l4 = eth::LEN + header.len();
    view.set_len(l4 + payload);
    view.bytes_mut()[eth::LEN..l4].copy_from_slice(header);
    l4
}
