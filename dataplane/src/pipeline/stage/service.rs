use super::super::context::Ctx;
use super::super::fetch::forward_key;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::{direct, end_flow, hop, obstacle, refuse_transport, send_in_service};
use crate::addr::Proto;
use crate::drop_reason::DropReason;
use crate::flow::ports::Range;
use crate::flow::state::Direction;
use crate::flow::{FlowHash, FlowRef, ForwardKey, NewFlow};
use crate::tables::flow_hash::flow_hash;
use crate::tables::frontend::Mode;
use crate::tables::{Backend, BackendId, BackendState, Frontend, FrontendId};

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
    *plan = first_packet(ctx, ip, transport, service.1, key)?;
    Ok(())
}

/// The plan for a packet without a flow.
fn first_packet<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    service: &Frontend,
    key: ForwardKey,
) -> Result<Plan<'a>, DropReason> {
    if service.gone {
        return refuse_removed(ctx, ip, transport);
    }
    if service.mode != Mode::Snat {
        return direct::first_packet(ctx, (ip, transport), service, key);
    }
    from_our_address(ctx, ip, transport, service, key)
}

/// The plan for a packet without a flow that goes on with a source address of ours.
pub(super) fn from_our_address<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    service: &Frontend,
    key: ForwardKey,
) -> Result<Plan<'a>, DropReason> {
    if transport.proto == Proto::Tcp && !transport.flags.opens() {
        return refuse_transport(ip, transport, DropReason::NoFlow);
    }
    new_flow(ctx, ip, transport, service, key)
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

fn new_flow<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    service: &Frontend,
    key: ForwardKey,
) -> Result<Plan<'a>, DropReason> {
    let Some((id, backend)) = select(ctx, ip, transport, service) else {
        return refuse_without_backend(ctx, ip, transport, key.frontend);
    };
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        return Ok(refusal);
    }
    let (place, src_addr) = insert(ctx, service, transport, key, (id, backend))?;
    let src = (src_addr, ctx.flows.flow(place).snat_port);
    count_flow(ctx, key.frontend);
    count_in(ctx, key.frontend, ip);
    let mut plan = Plan::default();
    let translate = Translate { src, dst: (backend.addr, backend.port), next };
    send_in_service(&mut plan, (ip, transport), translate, mtu, service);
    Ok(plan)
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
pub(super) fn select<'t>(
    ctx: &Ctx<'t>,
    ip: &Ip,
    transport: &Transport,
    service: &Frontend,
) -> Option<(BackendId, &'t Backend)> {
    let maglev = service.maglev.as_ref()?;
    let seeds = &ctx.tables.seeds;
    let client_port = if service.policy.by_client { 0 } else { transport.src };
    let hash = flow_hash(seeds, ip.src, client_port, service.key.port, transport.proto);
    let id = maglev.select(hash);
    Some((id, ctx.tables.backends.get(id)?))
}

/// Makes the flow with the first source address that has a port left; which one is tried first
/// depends on the client's port, so that all are used.
fn insert(
    ctx: &mut Ctx<'_>,
    service: &Frontend,
    transport: &Transport,
    key: ForwardKey,
    (backend_id, backend): (BackendId, &Backend),
) -> Result<(FlowRef, crate::addr::Addr), DropReason> {
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
        match ctx.flows.insert(&new, ctx.now) {
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
