use zerocopy::FromBytes;
use zerocopy::byteorder::network_endian::U16;

use super::super::context::Ctx;
use super::super::packet::{Ip, Transport, Upper};
use super::super::plan::Translate;
use super::{Link, trim};
use crate::addr::{Addr, Family, Proto};
use crate::drop_reason::DropReason;
use crate::wire::{checksum, ipv4, ipv6, tcp, udp};
use crate::xsk::View;

/// What the transport checksum of a packet is like as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksum {
    /// Whole: kept up by what changes.
    Finished(u16),
    /// Only the pseudo-header is in it; the sender left the rest to its card, which was none.
    Unfinished,
    /// UDP over IPv4 without one (RFC 768).
    None,
}

/// Writes new addresses, ports, MACs and TTL, and brings both checksums up to date.
#[inline]
pub(super) fn translate(
    ctx: &Ctx<'_>,
    view: &mut View<'_>,
    ip: &Ip,
    to: &Translate,
) -> Result<(), DropReason> {
    let Upper::Transport(transport) = ip.upper else { return Err(DropReason::UnknownProtocol) };
    trim(view, ip);
    let at = ip.l4 + checksum_offset(transport.proto);
    let before = state_of(view.bytes(), ip, transport, at)?;
    let link =
        Link { src: ctx.tables.port(to.next.port).mac, dst: to.next.mac().unwrap_or_default() };
    let bytes = view.bytes_mut();
    link.write(bytes);
    write_addresses(bytes, ip, to.src.0, to.dst.0);
    bytes[ip.l4..ip.l4 + 2].copy_from_slice(&to.src.1.to_be_bytes());
    bytes[ip.l4 + 2..ip.l4 + 4].copy_from_slice(&to.dst.1.to_be_bytes());
    let after = match before {
        Checksum::None => return Ok(()),
        Checksum::Finished(old) => updated(ip, transport, to, old),
        Checksum::Unfinished => {
            ctx.counters.checksums_finished.add(1);
            view.bytes_mut()[at..at + 2].fill(0);
            whole(view, ip, transport.proto, to)
        }
    };
    // A UDP checksum of zero would say that there is none.
    let after = if after == 0 && transport.proto == Proto::Udp { 0xffff } else { after };
    view.bytes_mut()[at..at + 2].copy_from_slice(&after.to_be_bytes());
    Ok(())
}

const fn checksum_offset(proto: Proto) -> usize {
    match proto {
        Proto::Tcp => tcp::CHECKSUM,
        Proto::Udp => udp::CHECKSUM,
    }
}

#[inline]
fn state_of(
    bytes: &[u8],
    ip: &Ip,
    transport: Transport,
    at: usize,
) -> Result<Checksum, DropReason> {
    let field = bytes.get(at..at + 2).ok_or(DropReason::Truncated)?;
    let field = u16::from_be_bytes([field[0], field[1]]);
    if field == 0 && transport.proto == Proto::Udp {
        // Over IPv6 `parse` has refused it.
        return Ok(Checksum::None);
    }
    let pseudo = checksum::pseudo(&ip.src, &ip.dst, transport.proto as u8, ip.l4_len());
    if field == checksum::fold(pseudo) {
        return Ok(Checksum::Unfinished);
    }
    Ok(Checksum::Finished(field))
}

#[inline]
fn write_addresses(bytes: &mut [u8], ip: &Ip, src: Addr, dst: Addr) {
    match ip.family() {
        Family::V4 => {
            if let Ok((ipv4, _)) = ipv4::Ipv4::mut_from_prefix(&mut bytes[ip.l3..]) {
                // Kept up, not summed again: what was just written in pieces is slow to read.
                let mut delta = checksum::Delta::default();
                delta.address(&ip.src, &src);
                delta.address(&ip.dst, &dst);
                let [old, new] =
                    [ip.ttl, ip.ttl - 1].map(|ttl| u16::from_be_bytes([ttl, ipv4.proto]));
                delta.word(old, new);
                ipv4.ttl = ip.ttl - 1;
                ipv4.checksum = U16::new(delta.apply(ipv4.checksum.get()));
                ipv4.src = src.v4_octets();
                ipv4.dst = dst.v4_octets();
            }
        }
        Family::V6 => {
            if let Ok((ipv6, _)) = ipv6::Ipv6::mut_from_prefix(&mut bytes[ip.l3..]) {
                ipv6.hop_limit = ip.ttl - 1;
                ipv6.src = *src.octets();
                ipv6.dst = *dst.octets();
            }
        }
    }
}

#[inline]
fn updated(ip: &Ip, transport: Transport, to: &Translate, old: u16) -> u16 {
    let mut delta = checksum::Delta::default();
    delta.address(&ip.src, &to.src.0);
    delta.address(&ip.dst, &to.dst.0);
    delta.word(transport.src, to.src.1);
    delta.word(transport.dst, to.dst.1);
    delta.apply(old)
}

/// The checksum over pseudo-header and all bytes, which may end a chunk on an odd one.
fn whole(view: &View<'_>, ip: &Ip, proto: Proto, to: &Translate) -> u16 {
    let pseudo = checksum::pseudo(&to.src.0, &to.dst.0, proto as u8, ip.l4_len());
    let mut sum = checksum::Chained::from(pseudo);
    sum.add(&view.bytes()[ip.l4..]);
    for tail in view.tails() {
        sum.add(tail);
    }
    !sum.fold()
}
