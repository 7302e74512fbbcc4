use super::super::context::Ctx;
use super::super::fetch::forward_key;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::{direct, end_flow, hop, obstacle, refuse_transport, send_in_service};
use crate::addr::{Addr, L4Port, Proto};
use crate::drop_reason::DropReason;
use crate::flow::ports::Range;
use crate::flow::state::Direction;
use crate::flow::{FlowHash, FlowRef, ForwardKey, NewFlow};
use crate::tables::flow_hash::flow_hash;
use crate::tables::frontend::Mode;
use crate::tables::{Backend, BackendId, BackendState, Frontend, FrontendId, Maglev, Tables};

/// A client's packet to a service: on its flow, or on a new one.
#[inline]
pub(super) fn to_backend<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    service: (FrontendId, &Frontend),
    hash: FlowHash,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    if let Some(sources) = &service.1.policy.sources
        && !sources.allow(ip.src)
    {
        return Err(DropReason::SourceDenied);
    }
    let key = forward_key(ip, transport, service.0);
    if let Some(place) = ctx.flows.find_forward(&key, hash)
        && on_flow(ctx, (ip, transport), service, place, plan)?
    {
        return Ok(());
    }
    first_packet(ctx, (ip, transport), service.1, (key, hash), plan)
}

/// How a client's packet names its flow, and what that name comes to.
pub(super) type Name = (ForwardKey, FlowHash);

/// The plan for a packet without a flow.
fn first_packet<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    service: &Frontend,
    name: Name,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    if service.gone {
        *plan = refuse_removed(ctx, ip, transport)?;
        return Ok(());
    }
    if service.mode != Mode::Snat {
        return direct::first_packet(ctx, (ip, transport), service, name, plan);
    }
    from_our_address(ctx, (ip, transport), service, name, plan)
}

/// The plan for a packet without a flow that goes on with a source address of ours.
#[inline(always)]
pub(super) fn from_our_address<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    service: &Frontend,
    name: Name,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    if transport.proto == Proto::Tcp && !transport.flags.opens() {
        *plan = refuse_transport(ip, transport, DropReason::NoFlow)?;
        return Ok(());
    }
    if transport.proto == Proto::Tcp && ctx.flows.has_to_come_again(&name.0, name.1, ctx.now) {
        return Err(DropReason::FirstSyn);
    }
    new_flow(ctx, (ip, transport), service, name, plan)
}

/// A removed service has no new flows. While its VIP still has others it is like any unknown
/// port; when the VIP went too, it may live elsewhere by now, and we keep silent.
fn refuse_removed<'a>(
    ctx: &Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
) -> Result<Plan<'a>, DropReason> {
    let vip = ctx.tables.addresses.get(&ip.dst).and_then(|owned| owned.vip);
    if vip.is_none_or(|vip| vip.retired) {
        return Err(DropReason::Removed);
    }
    refuse_transport(ip, transport, DropReason::Removed)
}

/// Plans for a packet of a known flow. Returns whether it did: when the flow has ended, a new one
/// may begin.
#[inline]
fn on_flow<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    (id, service): (FrontendId, &Frontend),
    place: FlowRef,
    plan: &mut Plan<'a>,
) -> Result<bool, DropReason> {
    let flow = ctx.flows.flow(place);
    let pair = ctx.flows.pair(flow.pair);
    let mode = flow.mode;
    let reopened = transport.flags.opens() && flow.state().may_reopen();
    let ended = |onward| Ended { place, reopened, onward };
    let src = match mode {
        Mode::Snat => ctx.tables.snat.get(pair.key.snat).map(|s| (s.addr, flow.snat_port)),
        Mode::Nat | Mode::DsrL2 => Some((ip.src, transport.src)),
    };
    let (Some(backend), Some(src)) = (ctx.tables.backends.get(pair.backend), src) else {
        return leave_flow(ctx, (ip, transport), &ended(None), plan);
    };
    let alive = !service.gone
        && backend.state != BackendState::Gone
        && !service.left.contains(&pair.backend)
        && direct::fits(mode, service);
    let (next, mtu) = match hop::next(ctx, backend.hop) {
        Ok(found) => found,
        Err(_) if !alive => return leave_flow(ctx, (ip, transport), &ended(None), plan),
        Err(reason) => return Err(reason),
    };
    let dst = direct::destination(mode, backend, (ip, transport));
    let translate = Translate { src, dst, next };
    if !alive || reopened {
        // A backend that is answered past us cannot be spoken to in the client's name.
        let onward = (mode != Mode::DsrL2).then_some(translate);
        return leave_flow(ctx, (ip, transport), &ended(onward), plan);
    }
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        *plan = refusal;
        return Ok(true);
    }
    ctx.flows.observe(place, Direction::Forward, transport.flags, ctx.now);
    count_in(ctx, id, ip);
    send_in_service(plan, (ip, transport), translate, mtu, service);
    Ok(true)
}

/// A flow that cannot go on.
struct Ended {
    place: FlowRef,
    /// Its client begins anew.
    reopened: bool,
    /// The way to its backend, as far as there still is one.
    onward: Option<Translate>,
}

/// UDP flows and reopened ones make room for a new one; both ends of a TCP flow are told.
#[cold]
fn leave_flow<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    ended: &Ended,
    plan: &mut Plan<'a>,
) -> Result<bool, DropReason> {
    if ended.reopened || transport.proto == Proto::Udp {
        ctx.flows.remove(ended.place);
        return Ok(false);
    }
    *plan = end_flow(ctx, ip, transport, ended.place, ended.onward)?;
    Ok(true)
}

/// Part of its callers, like what it calls: how fast connections come is measured in instructions
/// (`bench guard`), and modes besides `snat` made it a function of two.
#[inline(always)]
fn new_flow<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    service: &Frontend,
    name: Name,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let Some((id, backend)) = select(ctx, ip, transport, service) else {
        *plan = refuse_without_backend(ctx, ip, transport, name.0.frontend)?;
        return Ok(());
    };
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        *plan = refusal;
        return Ok(());
    }
    let (place, src_addr) = insert(ctx, service, transport, name, (id, backend))?;
    let src = (src_addr, ctx.flows.flow(place).snat_port);
    count_flow(ctx, name.0.frontend);
    count_in(ctx, name.0.frontend, ip);
    let translate = Translate { src, dst: (backend.addr, backend.port), next };
    send_in_service(plan, (ip, transport), translate, mtu, service);
    Ok(())
}

/// The answer of a service that has nobody to serve.
pub(super) fn refuse_without_backend<'a>(
    ctx: &Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    id: FrontendId,
) -> Result<Plan<'a>, DropReason> {
    if let Some(counters) = ctx.counters.frontend(id) {
        counters.no_backend.add(1);
    }
    refuse_transport(ip, transport, DropReason::NoBackend)
}

/// The backend that a flow of this client gets.
#[inline(always)]
pub(super) fn select<'t>(
    ctx: &Ctx<'t>,
    ip: &Ip,
    transport: &Transport,
    service: &Frontend,
) -> Option<(BackendId, &'t Backend)> {
    let (maglev, slot) = slot(ctx.tables, (ip.src, transport.src), service)?;
    let id = maglev.at(slot);
    Some((id, ctx.tables.backends.get(id)?))
}

/// The Maglev slot of a client's new flow; `None` without backends.
#[inline]
pub(in crate::pipeline) fn slot<'f>(
    tables: &Tables,
    (client, port): (Addr, L4Port),
    service: &'f Frontend,
) -> Option<(&'f Maglev, usize)> {
    let maglev = service.maglev.as_deref()?;
    let key = &service.key;
    let port = if service.policy.by_client { 0 } else { port };
    let hash = flow_hash(&tables.seeds, client, port, key.port, key.proto);
    Some((maglev, maglev.slot(hash)))
}

/// Makes the flow with the first source address that has a port left; which one is tried first
/// depends on the client's port, so that all are used.
fn insert(
    ctx: &mut Ctx<'_>,
    service: &Frontend,
    transport: &Transport,
    (key, hash): Name,
    (backend_id, backend): (BackendId, &Backend),
) -> Result<(FlowRef, Addr), DropReason> {
    let sources = match &*service.snat {
        [] => backend.default_snat.as_slice(),
        named => named,
    };
    let count = sources.len();
    let mut failure = DropReason::NoSnatAddress;
    for attempt in 0..count {
        let snat_id = sources[(usize::from(transport.src) + attempt) % count];
        let Some(snat) = ctx.tables.snat.get(snat_id) else { continue };
        let ports = Range {
            first: *snat.ports.start(),
            last: *snat.ports.end(),
            classes: ctx.share.classes,
            class: ctx.share.classes.of(transport.src),
        };
        let new = NewFlow {
            key,
            snat: snat_id,
            ports,
            backend: backend_id,
            backend_addr: backend.addr,
            backend_port: backend.port,
            proto: transport.proto,
        };
        match ctx.flows.insert(&new, hash, ctx.now) {
            Ok(place) => return Ok((place, snat.addr)),
            Err(reason) => failure = reason,
        }
        if failure != DropReason::PortsExhausted {
            break;
        }
    }
    Err(failure)
}

/// A flow has begun.
pub(super) fn count_flow(ctx: &Ctx<'_>, id: FrontendId) {
    if let Some(counters) = ctx.counters.frontend(id) {
        counters.flows.add(1);
    }
}

#[inline]
pub(super) fn count_in(ctx: &Ctx<'_>, id: FrontendId, ip: &Ip) {
    if let Some(counters) = ctx.counters.frontend(id) {
        counters.packets_in.add(1);
        counters.bytes_in.add(u64::from(ip.len));
    }
}
