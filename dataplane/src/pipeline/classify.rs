//! Facts to whose it is, from the tables alone: two workers never disagree.

use super::context::Share;
use super::deal::Known;
use super::packet::{Arp, Body, Ip, Packet, Transport, Upper};
use super::{Ctx, Packets, Subjects};
use crate::addr::{Addr, Class, Family, L4Port};
use crate::drop_reason::DropReason;
use crate::tables::frontend::FrontendKey;
use crate::tables::{
    Frontend, FrontendId, NatEnd, Owned, PortId, SnatAddress, SnatId, Stateless, Tables,
};
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
    /// From a backend in mode `nat` to a client, with what it is when it belongs to no flow.
    NatReply(&'a Ip, &'a Transport, Stateless),
    /// From a backend in mode `nat`, but no service's: it came to us to be forwarded.
    Route(&'a Ip),
    /// To an address of ours, but to no port that is anything to us.
    UnknownPort(&'a Ip, &'a Transport),
    /// An ICMP error to an address of ours, or to a client of mode `nat`: what it quotes says of which
    /// flow.
    Error(&'a Ip),
    /// A fragment to an address of ours, or from a backend in mode `nat`: the first one of its datagram
    /// says of which flow.
    Fragment(&'a Ip),
    /// Of a flow that another worker owns.
    Elsewhere(Class),
}

impl Subject<'_> {
    /// Whether the packet does not go through the steps as it is: it is another worker's, or belongs to
    /// a flow that its own headers do not name.
    #[inline]
    #[must_use]
    pub const fn goes_another_way(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Fragment(_) | Self::Elsewhere(_))
    }
}

/// Says whose each packet of a burst is. Of those that are `known`, it is this worker.
#[inline]
pub fn burst<'a>(
    ctx: &Ctx<'a>,
    packets: &'a Packets,
    known: &Known<'a>,
    subjects: &mut Subjects<'a>,
) {
    if ctx.share.classes.is_one() {
        // What nobody needs must not cost: a copy that asks for no owner.
        for packet in packets {
            write(ctx.tables, &Share::ALL, (ctx.port, packet), None, subjects);
        }
        return;
    }
    for (at, packet) in packets.iter().enumerate() {
        let known = known.get(at).copied().flatten();
        let share = if known.is_some() { &Share::ALL } else { &ctx.share };
        write(ctx.tables, share, (ctx.port, packet), known, subjects);
    }
}

/// Says whose `packet`, received on `port`, is, by workers that `share` the flows.
///
/// # Errors
/// The reason why it is nobody's, or nobody's yet.
pub fn classify<'a>(
    tables: &'a Tables,
    share: &Share,
    port: PortId,
    packet: &'a Packet,
) -> Result<Subject<'a>, DropReason> {
    let mut subjects = Subjects::new();
    write(tables, share, (port, packet), None, &mut subjects);
    subjects[0]
}

/// As [`classify`]; what the address that the packet goes to is to us may be `known`. Each subject is
/// written where it will be read, at the end of its own way (docs/decisions/0007).
#[inline(always)]
fn write<'a>(
    tables: &'a Tables,
    share: &Share,
    (port, packet): (PortId, &'a Packet),
    known: Option<&'a Owned>,
    subjects: &mut Subjects<'a>,
) {
    let for_another = packet.to_us_alone() && packet.to != tables.port(port).mac;
    let ip = match &packet.body {
        Body::Broken(reason) => return subjects.push(Err(*reason)),
        _ if for_another => return subjects.push(Err(DropReason::OtherHost)),
        Body::Ip(ip) => ip,
        body => return subjects.push(neighbour(tables, port, body)),
    };
    let Some(owned) = known.or_else(|| tables.addresses.get(&ip.dst)) else {
        return not_to_us(tables, share, (packet, ip), subjects);
    };
    match &ip.upper {
        Upper::Transport(transport) => {
            transport_subject(tables, share, owned, (ip, transport), subjects);
        }
        upper => subjects.push(without_ports(owned, ip, upper)),
    }
}

/// Whose a message of ARP or NDP is.
#[inline(never)]
fn neighbour<'a>(tables: &Tables, port: PortId, body: &'a Body) -> Result<Subject<'a>, DropReason> {
    match body {
        Body::Solicitation(ip, target) => {
            announced(tables, port, target)?;
            Ok(Subject::Solicitation(ip, target))
        }
        // What it claims is looked at in `claim`.
        Body::Advertisement(target) if tables.addresses.get(target).is_some() => {
            Err(DropReason::NeighbourOther)
        }
        Body::Arp(arp) => {
            // A sender that claims the address for itself asks for nothing (RFC 5227).
            if !arp.is_request || arp.sender == arp.target {
                return Err(DropReason::NeighbourOther);
            }
            announced(tables, port, &arp.target)?;
            Ok(Subject::Arp(arp))
        }
        _ => Err(DropReason::NotOurs),
    }
}

/// Whose a packet to an address of ours is that has no ports itself.
#[inline(never)]
fn without_ports<'a>(owned: &Owned, ip: &'a Ip, upper: &Upper) -> Result<Subject<'a>, DropReason> {
    match upper {
        Upper::Icmp { kind } => icmp_subject(owned, ip, *kind),
        Upper::Fragment => Ok(Subject::Fragment(ip)),
        _ => Err(DropReason::UnknownProtocol),
    }
}

/// The subject, unless it is another worker's: that follows from the port that is the client's, or
/// stands for it (our source ports are chosen in the class of the client's).
#[inline(always)]
fn mine<'a>(share: &Share, client_side: L4Port, subject: Subject<'a>, subjects: &mut Subjects<'a>) {
    match share.elsewhere(client_side) {
        None => subjects.push(Ok(subject)),
        Some(_) if share.handed => subjects.push(Err(DropReason::HandedOverTwice)),
        Some(owner) => subjects.push(Ok(Subject::Elsewhere(owner))),
    }
}

/// Says whose a packet is whose ports do not stand in its own headers: in those of another fragment,
/// or in what it quotes.
///
/// # Errors
/// As [`classify`].
pub(super) fn of_ports<'a>(
    tables: &'a Tables,
    share: &Share,
    ip: &'a Ip,
    transport: &'a Transport,
) -> Result<Subject<'a>, DropReason> {
    let mut subjects = Subjects::new();
    match tables.addresses.get(&ip.dst) {
        Some(owned) => {
            transport_subject(tables, share, owned, (ip, transport), &mut subjects);
        }
        None => from_nat_backend(tables, share, (ip, transport), &mut subjects),
    }
    subjects[0]
}

#[inline(always)]
fn transport_subject<'a>(
    tables: &'a Tables,
    share: &Share,
    owned: &Owned,
    (ip, transport): (&'a Ip, &'a Transport),
    subjects: &mut Subjects<'a>,
) {
    if let Some(vip) = owned.vip {
        let key = FrontendKey { addr: ip.dst, port: transport.dst, proto: transport.proto };
        if let Some((id, frontend)) = tables.frontends.find(&key) {
            let subject = Subject::Service(ip, transport, id, frontend);
            return mine(share, transport.src, subject, subjects);
        }
        if vip.retired {
            return subjects.push(Err(DropReason::Removed));
        }
    }
    if let Some(id) = owned.snat
        && let Some(snat) = tables.snat.get(id)
        && snat.ports.contains(&transport.dst)
    {
        let subject = Subject::Reply(ip, transport, id, snat);
        return mine(share, transport.dst, subject, subjects);
    }
    subjects.push(Ok(Subject::UnknownPort(ip, transport)));
}

/// What backends in mode `nat` send to their clients is steered to us, and with it what cannot be
/// told from it: that is routed on.
#[inline(never)]
fn not_to_us<'a>(
    tables: &'a Tables,
    share: &Share,
    (packet, ip): (&Packet, &'a Ip),
    subjects: &mut Subjects<'a>,
) {
    if !packet.to_us_alone() {
        return subjects.push(Err(DropReason::NotOurs));
    }
    match &ip.upper {
        Upper::Transport(transport) => {
            return from_nat_backend(tables, share, (ip, transport), subjects);
        }
        Upper::Icmp { kind } if is_error(ip, *kind) => {
            return subjects.push(Ok(Subject::Error(ip)));
        }
        _ => {}
    }
    let from_backend = tables.nat_backends.has_address(&ip.src);
    if from_backend && ip.upper == Upper::Fragment {
        return subjects.push(Ok(Subject::Fragment(ip)));
    }
    subjects.push(passing_by(ip, from_backend));
}

/// A packet to nobody here from what may be a backend in mode `nat`.
fn from_nat_backend<'a>(
    tables: &'a Tables,
    share: &Share,
    (ip, transport): (&'a Ip, &'a Transport),
    subjects: &mut Subjects<'a>,
) {
    if let Some(stateless) = tables.nat_backends.find(&nat_end(ip, transport)) {
        let subject = Subject::NatReply(ip, transport, stateless);
        return mine(share, transport.dst, subject, subjects);
    }
    subjects.push(passing_by(ip, tables.nat_backends.has_address(&ip.src)));
}

fn passing_by(ip: &Ip, from_backend: bool) -> Result<Subject<'_>, DropReason> {
    if from_backend { Ok(Subject::Route(ip)) } else { Err(DropReason::NotOurs) }
}

/// The end of a connection that a packet comes from.
#[inline]
pub(super) fn nat_end(ip: &Ip, transport: &Transport) -> NatEnd {
    NatEnd { addr: ip.src, port: transport.src, proto: transport.proto }
}

fn is_error(ip: &Ip, kind: u8) -> bool {
    match ip.family() {
        Family::V4 => icmp::v4::is_error(kind),
        Family::V6 => icmp::v6::is_error(kind),
    }
}

fn icmp_subject<'a>(owned: &Owned, ip: &'a Ip, kind: u8) -> Result<Subject<'a>, DropReason> {
    let echo = match ip.family() {
        Family::V4 => icmp::v4::ECHO_REQUEST,
        Family::V6 => icmp::v6::ECHO_REQUEST,
    };
    if is_error(ip, kind) {
        return Ok(Subject::Error(ip));
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
