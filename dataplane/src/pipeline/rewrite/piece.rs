use super::super::context::{Ctx, Memory};
use super::super::packet::{Ip, Packet};
use super::super::piece::{First, Piece};
use super::super::plan::{Fate, Plan, Refusal, Translate};
use super::translate::{PORTS, checksum_field, new_ports, onto, said, write_addresses};
use super::{Link, fragment, refuse, trim};
use crate::addr::{Family, Proto};
use crate::drop_reason::DropReason;
use crate::wire::checksum::{self, Delta};
use crate::wire::ipv4;
use crate::xsk::{Frame, View};

/// Where the identification stands: in the IPv4 header, in the fragment header of IPv6.
const IDENT_V4: usize = 4;
const IDENT_V6: usize = 4;

/// Carries out a plan, made as for a whole packet, on a fragment; `ident` is what all fragments of its
/// datagram are to carry when their source changes.
///
/// # Errors
/// As [`super::rewrite`]; and the reason of a refusal that fits no fragment: RST needs the length of the
/// whole segment, and errors are for the first fragment alone (RFC 1122 section 3.2.2), in IPv6 for each.
pub(in super::super) fn piece<'p>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    (frame, packet): (&mut Frame, &Packet),
    (piece, ident): (&Piece, u32),
    plan: &'p Plan<'_>,
) -> Result<Fate<'p>, DropReason> {
    match plan {
        // A SYN in pieces has no room that would need a smaller MSS.
        Plan::Translate(ip, to) | Plan::Clamp(ip, to, _) => {
            translate(ctx, &mut memory.umem.view(frame), ip, to, (piece, ident))?;
            Ok(Fate::Forward(&to.next))
        }
        Plan::Fragment(ip, to, mtu) => {
            translate(ctx, &mut memory.umem.view(frame), ip, to, (piece, ident))?;
            fragment::split(ctx, memory, frame, ip, (to.next, *mtu))?;
            Ok(Fate::Split)
        }
        Plan::Refuse(_, reason, Refusal::Reset) | Plan::ResetBoth(_, reason, _) => Err(*reason),
        Plan::Refuse(ip, reason, refusal) => {
            if piece.first.is_none() && ip.family() == Family::V4 {
                return Err(*reason);
            }
            let back = Link { src: ctx.tables.port(ctx.port).mac, dst: packet.from };
            refuse(memory, frame, back, ip, *refusal);
            Ok(Fate::Refuse(*reason))
        }
        _ => Err(DropReason::Fragment),
    }
}

/// Writes new addresses, and ports and the checksum of the datagram, which stand in its first fragment:
/// kept up by what changes. The checksum is never unfinished, since a sender finishes it before it
/// cuts.
fn translate(
    ctx: &Ctx<'_>,
    view: &mut View<'_>,
    ip: &Ip,
    to: &Translate,
    (piece, ident): (&Piece, u32),
) -> Result<(), DropReason> {
    trim(view, ip);
    let mut moved = Delta::default();
    moved.sum(checksum::addresses(&ip.src, &ip.dst), checksum::addresses(&to.src.0, &to.dst.0));
    let bytes = view.bytes_mut();
    onto(ctx, to).write(bytes);
    write_addresses(&mut bytes[ip.l3()..], (ip.family(), ip), to, moved);
    if to.src.0 != ip.src {
        write_ident(bytes, ip, ident);
    }
    match &piece.first {
        Some(first) => write_ports(bytes, first, to, moved),
        None => Ok(()),
    }
}

/// Datagrams of two senders that go on from one address must not be taken for one.
fn write_ident(bytes: &mut [u8], ip: &Ip, ident: u32) {
    match ip.family() {
        Family::V4 => {
            let at = ip.l3() + IDENT_V4;
            bytes[at..at + 2].copy_from_slice(&(ident as u16).to_be_bytes());
            ipv4::finish_header(&mut bytes[ip.l3()..ip.l4()]);
        }
        Family::V6 => {
            let at = ip.l4() + IDENT_V6;
            bytes[at..at + 4].copy_from_slice(&ident.to_be_bytes());
        }
    }
}

fn write_ports(
    bytes: &mut [u8],
    first: &First,
    to: &Translate,
    moved: Delta,
) -> Result<(), DropReason> {
    let proto = first.transport.proto;
    let (ports, rest) =
        bytes[first.l4..].split_first_chunk_mut::<PORTS>().ok_or(DropReason::Truncated)?;
    let field = checksum_field(rest, proto).ok_or(DropReason::Truncated)?;
    let mut delta = moved;
    let old = std::mem::replace(ports, new_ports(to));
    let none = proto == Proto::Udp && *field == [0; 2];
    if !none {
        delta.sum(checksum::ports(old), checksum::ports(*ports));
        *field = said(delta.apply(u16::from_be_bytes(*field)), proto).to_be_bytes();
    }
    Ok(())
}
