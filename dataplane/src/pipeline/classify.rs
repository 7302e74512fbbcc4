//! Facts to whose it is, from the tables alone: two workers never disagree.

use super::context::Share;
use super::packet::{Arp, Body, Ip, Packet, Transport, Upper};
use super::{Ctx, Packets, Subjects};
use crate::addr::{Addr, Class, Family};
use crate::drop_reason::DropReason;
use crate::tables::frontend::FrontendKey;
use crate::tables::{Frontend, FrontendId, Owned, PortId, SnatAddress, SnatId, Tables};
use crate::wire::icmp;

/// Whose a packet is.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// An ARP request for an address that we announce on this port.
    Arp(&'a Arp),
    /// A neighbour solicitation for an address that we announce on this port.
    Solicitation(&'a Ip, &'a Addr),
    /// A ping of an address of ours.
    Echo(&'a Ip),
    /// From a client to a service.
    Service(&'a Ip, &'a Transport, FrontendId, &'a Frontend),
    /// From a backend to one of our source addresses.
    Reply(&'a Ip, &'a Transport, SnatId, &'a SnatAddress),
    /// To an address of ours, but to no port that is anything to us.
    UnknownPort(&'a Ip, &'a Transport),
    /// Of a flow that another worker owns.
    Elsewhere(Class),
}

/// Says whose each packet of a burst is.
#[inline]
pub fn burst<'a>(ctx: &Ctx<'a>, packets: &'a Packets) -> Subjects<'a> {
    packets
        .iter()
        .map(|packet| owned_by(&ctx.share, classify(ctx.tables, ctx.port, packet)?))
        .collect()
}

/// The same for one packet that came in through `port`.
pub(super) fn one<'a>(
    ctx: &Ctx<'a>,
    port: PortId,
    packet: &'a Packet,
) -> Result<Subject<'a>, DropReason> {
    owned_by(&ctx.share, classify(ctx.tables, port, packet)?)
}

/// Says whether a subject is another worker's: by the port that is the client's, or stands for it
/// (our source ports are chosen in the class of the client's).
#[inline]
fn owned_by<'a>(share: &Share, subject: Subject<'a>) -> Result<Subject<'a>, DropReason> {
    let port = match subject {
        Subject::Service(_, transport, ..) => transport.src,
        Subject::Reply(_, transport, ..) => transport.dst,
        _ => return Ok(subject),
    };
    match share.elsewhere(port) {
        None => Ok(subject),
        Some(_) if share.handed => Err(DropReason::HandedOverTwice),
        Some(owner) => Ok(Subject::Elsewhere(owner)),
    }
}

/// Says whose `packet`, received on `port`, is.
///
/// # Errors
/// The reason why it is nobody's, or nobody's yet.
#[inline]
pub fn classify<'a>(
    tables: &'a Tables,
    port: PortId,
    packet: &'a Packet,
) -> Result<Subject<'a>, DropReason> {
    let for_another = packet.to_us_alone() && packet.to != tables.port(port).mac;
    let ip = match &packet.body {
        Body::Broken(reason) => return Err(*reason),
        _ if for_another => return Err(DropReason::OtherHost),
        Body::Ip(ip) => ip,
        Body::Solicitation(ip, target) => {
            announced(tables, port, target)?;
            return Ok(Subject::Solicitation(ip, target));
        }
        Body::Arp(arp) => {
            // A sender that claims the address for itself asks for nothing (RFC 5227).
            if !arp.is_request || arp.sender == arp.target {
                return Err(DropReason::NeighbourOther);
            }
            announced(tables, port, &arp.target)?;
            return Ok(Subject::Arp(arp));
        }
    };
    let owned = tables.addresses.get(&ip.dst).ok_or(DropReason::NotOurs)?;
    match &ip.upper {
        Upper::Transport(transport) => transport_subject(tables, owned, ip, transport),
        Upper::Icmp { kind } => icmp_subject(owned, ip, *kind),
        Upper::Fragment => Err(DropReason::Fragment),
        _ => Err(DropReason::UnknownProtocol),
    }
}

#[inline]
fn transport_subject<'a>(
    tables: &'a Tables,
    owned: &Owned,
    ip: &'a Ip,
    transport: &'a Transport,
) -> Result<Subject<'a>, DropReason> {
    if let Some(vip) = owned.vip {
        let key = FrontendKey { addr: ip.dst, port: transport.dst, proto: transport.proto };
        if let Some((id, frontend)) = tables.frontends.find(&key) {
            return Ok(Subject::Service(ip, transport, id, frontend));
        }
        if vip.retired {
            return Err(DropReason::Removed);
        }
    }
    if let Some(id) = owned.snat
        && let Some(snat) = tables.snat.get(id)
        && snat.ports.contains(&transport.dst)
    {
        return Ok(Subject::Reply(ip, transport, id, snat));
    }
    Ok(Subject::UnknownPort(ip, transport))
}

fn icmp_subject<'a>(owned: &Owned, ip: &'a Ip, kind: u8) -> Result<Subject<'a>, DropReason> {
    let (echo, error) = match ip.family() {
        Family::V4 => (icmp::v4::ECHO_REQUEST, icmp::v4::is_error(kind)),
        Family::V6 => (icmp::v6::ECHO_REQUEST, icmp::v6::is_error(kind)),
    };
    if error {
        return Err(DropReason::IcmpError);
    }
    if owned.vip.is_some_and(|vip| vip.retired) {
        return Err(DropReason::Removed);
    }
    if kind == echo { Ok(Subject::Echo(ip)) } else { Err(DropReason::IcmpOther) }
}

fn announced(tables: &Tables, port: PortId, target: &Addr) -> Result<(), DropReason> {
    let owned = tables.addresses.get(target).ok_or(DropReason::NotOurs)?;
    if owned.announce.contains(port) { Ok(()) } else { Err(DropReason::NotAnnounced) }
}
