//! Service and flow state to a plan for this packet: the only step that changes flow state.
//! Everything that can fail is checked before it does.

/// From a client to a backend that sees the client's address.
mod direct;
/// Where an ICMP error about a flow goes.
mod error;
/// Where a packet goes next.
mod hop;
/// From a backend in mode `nat`, and what only passes by.
mod nat;
/// From a backend to the client of its flow.
mod reply;
/// From a client to the backend of its flow, or of a new one.
pub(super) mod service;

pub(super) use error::error;
pub(super) use hop::next as next_hop;

use super::classify::Subject;
use super::context::Ctx;
use super::packet::{Ip, Packet, Transport};
use super::plan::{Plan, Refusal, Translate};
use crate::addr::Proto;
use crate::drop_reason::DropReason;
use crate::flow::{FlowHash, FlowRef};
use crate::tables::Frontend;
use crate::wire::tcp::Flags;

/// Decides what shall happen to a packet.
///
/// # Errors
/// The reason why it ends here without an answer.
#[inline(never)]
pub fn stage<'a>(
    ctx: &mut Ctx<'_>,
    packet: &Packet,
    subject: &Subject<'a>,
    hash: FlowHash,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    match *subject {
        Subject::Service(ip, transport, id, frontend) => {
            service::to_backend(ctx, (ip, transport), (id, frontend), hash, plan)?;
        }
        Subject::Reply(ip, transport, id, _) => {
            reply::to_client(ctx, (ip, transport), id, hash, plan)?;
        }
        Subject::NatReply(ip, transport, stateless) => {
            nat::from_backend(ctx, (ip, transport), stateless, hash, plan)?;
        }
        Subject::Route(ip) => nat::route(ctx, ip, plan)?,
        Subject::UnknownPort(ip, transport) => {
            *plan = refuse_transport(ip, transport, DropReason::UnknownPort)?;
        }
        Subject::Arp(arp) => *plan = Plan::AnswerArp(arp),
        Subject::Solicitation(ip, target) => *plan = Plan::AnswerSolicitation(ip, target),
        Subject::Echo(ip) => *plan = Plan::AnswerEcho(ip),
        Subject::Elsewhere(_) | Subject::Error(_) | Subject::Fragment(_) => {
            unreachable!("those go other ways")
        }
    }
    permit(ctx, packet, plan)
}

/// What we say ourselves is limited, and errors are only for packets that were sent to us alone.
/// RST for what was removed has passed its limit before the flow ended.
#[inline]
fn permit(ctx: &mut Ctx<'_>, packet: &Packet, plan: &Plan<'_>) -> Result<(), DropReason> {
    let now = ctx.now;
    let (allowed, reason) = match plan {
        Plan::Refuse(_, reason, _) if !packet.to_us_alone() => return Err(*reason),
        Plan::Refuse(_, reason, Refusal::TooBig { .. }) => {
            (ctx.limiters.errors.allow(now), *reason)
        }
        Plan::Refuse(_, reason, _) => (ctx.limiters.refusals.allow(now), *reason),
        Plan::AnswerArp(_) | Plan::AnswerSolicitation(..) => {
            (ctx.limiters.neighbours.allow(now), DropReason::NeighbourLimited)
        }
        _ => return Ok(()),
    };
    if allowed {
        return Ok(());
    }
    ctx.counters.answers_limited.add(1);
    Err(reason)
}

/// The answer that a transport packet to nowhere gets. RST is never answered (RFC 9293 section
/// 3.10.7.1).
fn refuse_transport<'a>(
    ip: &'a Ip,
    transport: &Transport,
    reason: DropReason,
) -> Result<Plan<'a>, DropReason> {
    match transport.proto {
        Proto::Tcp if transport.flags.any(Flags::RST) => Err(reason),
        Proto::Tcp => Ok(Plan::Refuse(ip, reason, Refusal::Reset)),
        Proto::Udp => Ok(Plan::Refuse(ip, reason, Refusal::PortUnreachable)),
    }
}

/// Why a packet cannot go on to a hop with this MTU, neither whole nor in pieces.
#[inline]
fn obstacle<'a>(ctx: &Ctx<'_>, ip: &'a Ip, mtu: u16) -> Option<Plan<'a>> {
    let too_big = ip.len > mtu && !ip.may_fragment;
    (ip.ttl <= 1 || too_big).then(|| refuse_to_forward(ctx, ip, mtu))
}

#[cold]
fn refuse_to_forward<'a>(ctx: &Ctx<'_>, ip: &'a Ip, mtu: u16) -> Plan<'a> {
    // A port without an address of the family answers from the address that was asked.
    let router = ctx.tables.port(ctx.port).address(ip.family()).unwrap_or(ip.dst);
    if ip.ttl <= 1 {
        let refusal = Refusal::TimeExceeded { from: router };
        return Plan::Refuse(ip, DropReason::TtlExceeded, refusal);
    }
    // What is not addressed to us was asked of nobody here: we speak as a router on its way.
    let from = if ctx.tables.addresses.get(&ip.dst).is_some() { ip.dst } else { router };
    Plan::Refuse(ip, DropReason::TooBig, Refusal::TooBig { from, mtu })
}

/// As [`send_on`], for a packet of a service: a SYN's MSS is kept small where the service says so.
#[inline(always)]
fn send_in_service<'a>(
    plan: &mut Plan<'a>,
    (ip, transport): (&'a Ip, &Transport),
    translate: Translate,
    mtu: u16,
    service: &Frontend,
) {
    if transport.flags.any(Flags::SYN)
        && let Some(most) = service.policy.mss
        && ip.len <= mtu
    {
        *plan = Plan::Clamp(ip, translate, most.get());
        return;
    }
    send_on(plan, ip, translate, mtu);
}

/// The plan for a packet that goes on, written where it will be read.
#[inline(always)]
fn send_on<'a>(plan: &mut Plan<'a>, ip: &'a Ip, translate: Translate, mtu: u16) {
    if ip.len > mtu {
        *plan = Plan::Fragment(ip, translate, mtu);
    } else {
        *plan = Plan::Translate(ip, translate);
    }
}

/// The connection of this packet has lost its service or backend: a TCP packet is answered with
/// RST on both sides. The flow is gone afterwards; when too many end at once it stays until its
/// next packet, so that both ends are told.
fn end_flow<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    place: FlowRef,
    onward: Option<Translate>,
) -> Result<Plan<'a>, DropReason> {
    let resets = transport.proto == Proto::Tcp && !transport.flags.any(Flags::RST);
    let Some(onward) = onward.filter(|_| resets) else {
        ctx.flows.remove(place);
        return refuse_transport(ip, transport, DropReason::Removed);
    };
    if !ctx.limiters.errors.allow(ctx.now) {
        ctx.counters.answers_limited.add(1);
        return Err(DropReason::Removed);
    }
    ctx.flows.remove(place);
    Ok(Plan::ResetBoth(ip, DropReason::Removed, onward))
}
