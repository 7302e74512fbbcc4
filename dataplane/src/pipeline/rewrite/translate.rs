use zerocopy::FromBytes;
use zerocopy::byteorder::network_endian::U16;

use super::super::context::Ctx;
use super::super::packet::{Ip, Upper};
use super::super::plan::Translate;
use super::{Link, trim};
use crate::addr::{Family, Proto};
use crate::drop_reason::DropReason;
use crate::wire::checksum::{self, Delta};
use crate::wire::{ipv4, ipv6, tcp, udp};
use crate::xsk::View;

/// Bytes of both ports, with which every transport header begins.
pub(super) const PORTS: usize = 4;

/// Writes new addresses, ports, MACs and TTL, and brings both checksums up to date: kept up by what
/// changes, not summed again. A transport checksum may be unfinished as it arrives: only the
/// pseudo-header is in it, since the sender left the rest to its card, which was none.
#[inline]
pub(super) fn translate(
    ctx: &Ctx<'_>,
    view: &mut View<'_>,
    ip: &Ip,
    to: &Translate,
) -> Result<(), DropReason> {
    let Upper::Transport(transport) = ip.upper else { return Err(DropReason::UnknownProtocol) };
    let proto = transport.proto;
    trim(view, ip);
    let family = ip.family();
    let before = checksum::addresses_of(family, &ip.src, &ip.dst);
    let mut delta = Delta::default();
    delta.sum(before, checksum::addresses_of(family, &to.src.0, &to.dst.0));
    let link = onto(ctx, to);
    let (headers, l4) = view.bytes_mut().split_at_mut(ip.l4());
    let (ports, rest) = l4.split_first_chunk_mut::<PORTS>().ok_or(DropReason::Truncated)?;
    let field = checksum_field(rest, proto).ok_or(DropReason::Truncated)?;
    link.write(headers);
    write_addresses(&mut headers[ip.l3()..], (family, ip), to, delta);
    let old_ports = std::mem::replace(ports, new_ports(to));
    let old = u16::from_be_bytes(*field);
    if old == 0 && proto == Proto::Udp {
        // There is none (RFC 768); over IPv6 `parse` has refused it.
        return Ok(());
    }
    if old == checksum::fold(checksum::pseudo_of(before, proto as u8, ip.l4_len())) {
        finish(ctx, view, ip, proto, to);
        return Ok(());
    }
    delta.sum(checksum::ports(old_ports), checksum::ports(*ports));
    *field = said(delta.apply(old), proto).to_be_bytes();
    Ok(())
}

/// The MACs towards the next hop.
#[inline(always)]
pub(super) fn onto(ctx: &Ctx<'_>, to: &Translate) -> Link {
    Link { src: ctx.tables.port(to.next.port).mac, dst: to.next.mac().unwrap_or_default() }
}

/// The checksum in what follows the ports.
#[inline(always)]
pub(super) fn checksum_field(rest: &mut [u8], proto: Proto) -> Option<&mut [u8; 2]> {
    let at = match proto {
        Proto::Tcp => tcp::CHECKSUM,
        Proto::Udp => udp::CHECKSUM,
    };
    rest.get_mut(at - PORTS..)?.first_chunk_mut()
}

#[inline(always)]
pub(super) fn new_ports(to: &Translate) -> [u8; PORTS] {
    (u32::from(to.src.1) << 16 | u32::from(to.dst.1)).to_be_bytes()
}

/// A UDP checksum of zero would say that there is none.
#[inline(always)]
pub(super) fn said(checksum: u16, proto: Proto) -> u16 {
    if checksum == 0 && proto == Proto::Udp { 0xffff } else { checksum }
}

/// `moved` is what the new addresses make of a checksum over them.
#[inline(always)]
pub(super) fn write_addresses(
    header: &mut [u8],
    (family, ip): (Family, &Ip),
    to: &Translate,
    moved: Delta,
) {
    match family {
        Family::V4 => {
            if let Ok((ipv4, _)) = ipv4::Ipv4::mut_from_prefix(header) {
                let mut delta = moved;
                delta.ttl();
                ipv4.ttl = ip.ttl - 1;
                ipv4.checksum = U16::new(delta.apply(ipv4.checksum.get()));
                ipv4.src = to.src.0.v4_octets();
                ipv4.dst = to.dst.0.v4_octets();
            }
        }
        Family::V6 => {
            if let Ok((ipv6, _)) = ipv6::Ipv6::mut_from_prefix(header) {
                ipv6.hop_limit = ip.ttl - 1;
                ipv6.src = *to.src.0.octets();
                ipv6.dst = *to.dst.0.octets();
            }
        }
    }
}

/// Sums up what the sender left to its card.
#[inline(never)]
fn finish(ctx: &Ctx<'_>, view: &mut View<'_>, ip: &Ip, proto: Proto, to: &Translate) {
    ctx.counters.checksums_finished.add(1);
    let field = |view: &mut View<'_>, value: u16| {
        if let Some(field) = checksum_field(&mut view.bytes_mut()[ip.l4() + PORTS..], proto) {
            *field = value.to_be_bytes();
        }
    };
    field(view, 0);
    let checksum = said(whole(view, ip, proto, to), proto);
    field(view, checksum);
}

/// The checksum over pseudo-header and all bytes, which may end a chunk on an odd one.
fn whole(view: &View<'_>, ip: &Ip, proto: Proto, to: &Translate) -> u16 {
    let pseudo = checksum::pseudo(&to.src.0, &to.dst.0, proto as u8, ip.l4_len());
    let mut sum = checksum::Chained::from(pseudo);
    sum.add(&view.bytes()[ip.l4()..]);
    for tail in view.tails() {
        sum.add(tail);
    }
    !sum.fold()
}
