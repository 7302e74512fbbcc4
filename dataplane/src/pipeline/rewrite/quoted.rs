use super::super::context::Ctx;
use super::super::packet::Ip;
use super::super::plan::Translate;
use super::super::quote::Quote;
use super::icmp_error::pseudo;
use super::translate::{PORTS, checksum_field, onto, said, write_addresses};
use super::{echo, trim};
use crate::addr::{Family, Proto};
use crate::drop_reason::DropReason;
use crate::wire::checksum::{self, Delta};
use crate::xsk::View;

/// Offset of the checksum in an ICMP message.
const CHECKSUM: usize = 2;

/// Writes an ICMP error for the other end of the flow: type, code and what belongs to them (an MTU) stay;
/// the packet that it quotes is the one that this end sent (RFC 5508 REQ-4, REQ-5). Its source becomes
/// ours where the flow's own packets of this direction get one of ours, as Linux does: a backend has a
/// way back to us, not to any router, and clients see no routers behind the VIP.
///
/// # Errors
/// [`DropReason::BadChecksum`].
pub(in super::super) fn error(
    ctx: &Ctx<'_>,
    view: &mut View<'_>,
    ip: &Ip,
    quote: &Quote,
    to: &Translate,
) -> Result<(), DropReason> {
    trim(view, ip);
    echo::verify(view, ip)?;
    let src = if to.src.0 == quote.ip.src { ip.src } else { to.src.0 };
    let outer = Translate { src: (src, 0), dst: (to.dst.0, 0), next: to.next };
    let mut moved = Delta::default();
    moved.sum(checksum::addresses(&ip.src, &ip.dst), checksum::addresses(&src, &to.dst.0));
    let bytes = view.bytes_mut();
    onto(ctx, to).write(bytes);
    write_addresses(&mut bytes[ip.l3()..], (ip.family(), ip), &outer, moved);
    write_quote(bytes, quote, to);
    finish(view, ip, &outer);
    Ok(())
}

/// Undoes in the quoted packet what was done to it on its way: it was sent from where the error goes to.
fn write_quote(bytes: &mut [u8], quote: &Quote, to: &Translate) {
    let ip = &quote.ip;
    let end = ip.l3() + usize::from(ip.len);
    let sent = Translate { src: to.dst, dst: to.src, next: to.next };
    let mut moved = Delta::default();
    moved.sum(checksum::addresses(&ip.src, &ip.dst), checksum::addresses(&to.src.0, &to.dst.0));
    let (headers, l4) = bytes[..end].split_at_mut(ip.l4());
    quoted_addresses(&mut headers[ip.l3()..], &sent, moved);
    let Some((ports, rest)) = l4.split_first_chunk_mut::<PORTS>() else { return };
    let old = std::mem::replace(ports, super::translate::new_ports(&sent));
    moved.sum(checksum::ports(old), checksum::ports(*ports));
    let proto = quote.transport.proto;
    // An error of IPv4 may end before the checksum of TCP.
    let Some(field) = checksum_field(rest, proto) else { return };
    let none = proto == Proto::Udp && *field == [0; 2];
    if !none {
        *field = said(moved.apply(u16::from_be_bytes(*field)), proto).to_be_bytes();
    }
}

/// The quoted header keeps its TTL, and its checksum is as right as before.
fn quoted_addresses(header: &mut [u8], sent: &Translate, moved: Delta) {
    let (src, dst) = (&sent.src.0, &sent.dst.0);
    match src.family() {
        Family::V4 => {
            let sum = moved.apply(u16::from_be_bytes([header[10], header[11]]));
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header[12..16].copy_from_slice(&src.v4_octets());
            header[16..20].copy_from_slice(&dst.v4_octets());
        }
        Family::V6 => {
            header[8..24].copy_from_slice(src.octets());
            header[24..40].copy_from_slice(dst.octets());
        }
    }
}

/// Sums the message up again.
fn finish(view: &mut View<'_>, ip: &Ip, outer: &Translate) {
    let at = ip.l4() + CHECKSUM;
    view.bytes_mut()[at..at + 2].fill(0);
    let len = usize::from(ip.l4_len());
    let start = pseudo(ip.family(), &outer.src.0, &outer.dst.0, len);
    let mut sum = checksum::Chained::from(start);
    sum.add(&view.bytes()[ip.l4()..]);
    view.tails().for_each(|tail| sum.add(tail));
    view.bytes_mut()[at..at + 2].copy_from_slice(&(!sum.fold()).to_be_bytes());
}
