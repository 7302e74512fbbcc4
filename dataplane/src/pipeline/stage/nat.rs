//! What backends in mode `nat` send. It is addressed to clients, and comes to us because our
//! gateway is their router; so some of it may be none of ours, and goes its way.

use super::super::context::Ctx;
use super::super::fetch::nat_key;
use super::super::packet::{Ip, Transport, Upper};
use super::super::plan::{Plan, Translate};
use super::direct::is_hairpin;
use super::{hop, obstacle, reply, send_in_service, send_on};
use crate::drop_reason::DropReason;
use crate::flow::FlowHash;
use crate::tables::{BackendId, FrontendId, Hop, Stateless};

/// A packet from the address and port of a backend in mode `nat`.
#[inline]
pub(super) fn from_backend<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    stateless: Stateless,
    hash: FlowHash,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let key = nat_key(ip, transport);
    if let Some(place) = ctx.flows.find_nat(&key, hash) {
        return reply::on_flow(ctx, (ip, transport), place, plan);
    }
    match stateless {
        Stateless::Reply(frontend, backend) => {
            without_flow(ctx, (ip, transport), (frontend, backend), plan)
        }
        Stateless::Ambiguous => Err(DropReason::ReplyAmbiguous),
        Stateless::Route => route(ctx, ip, plan),
    }
}

/// A reply that can be of one frontend only, whose flow we do not have, or have no more.
fn without_flow<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    (frontend_id, backend): (FrontendId, BackendId),
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let tables = ctx.tables;
    let frontend = tables.frontends.get(frontend_id).filter(|frontend| !frontend.gone);
    let (Some(frontend), Some(backend)) = (frontend, tables.backends.get(backend)) else {
        return route(ctx, ip, plan);
    };
    // Such a client was served from an address of ours: this one talks to the backend itself.
    if is_hairpin(frontend, backend, ip.dst) {
        return route(ctx, ip, plan);
    }
    let Some((next, mtu)) = way(ctx, ip, plan)? else { return Ok(()) };
    if let Some(counters) = ctx.counters.frontend(frontend_id) {
        counters.packets_out.add(1);
        counters.bytes_out.add(u64::from(ip.len));
    }
    let src = (frontend.key.addr, frontend.key.port);
    let translate = Translate { src, dst: (ip.dst, transport.dst), next };
    send_in_service(plan, (ip, transport), translate, mtu, frontend);
    Ok(())
}

/// A packet that came to us as to a router. Its ends stay; checksums that its sender left to a
/// card are finished all the same.
pub(super) fn route<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let Some((next, mtu)) = way(ctx, ip, plan)? else { return Ok(()) };
    match &ip.upper {
        Upper::Transport(transport) => {
            let (src, dst) = ((ip.src, transport.src), (ip.dst, transport.dst));
            send_on(plan, ip, Translate { src, dst, next }, mtu);
        }
        // We cut datagrams, not what somebody else has cut already.
        _ if ip.len > mtu => return Err(DropReason::TooBig),
        _ => *plan = Plan::Route(ip, next),
    }
    Ok(())
}

/// The way to where the packet is addressed to; without, `plan` says why not.
fn way<'a>(
    ctx: &Ctx<'_>,
    ip: &'a Ip,
    plan: &mut Plan<'a>,
) -> Result<Option<(Hop, u16)>, DropReason> {
    let found = ctx.tables.routing.resolve(ip.dst, |port| ctx.tables.port(port).mtu);
    let (next, mtu) = hop::next(ctx, found)?;
    match obstacle(ctx, ip, mtu) {
        Some(refusal) => {
            *plan = refusal;
            Ok(None)
        }
        None => Ok(Some((next, mtu))),
    }
}
