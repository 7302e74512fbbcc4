use super::super::context::Ctx;
use super::super::fetch::forward_key;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::{end_flow, hop, obstacle, refuse_transport, send_on};
use crate::addr::Proto;
use crate::drop_reason::DropReason;
use crate::flow::ports::Range;
use crate::flow::state::Direction;
use crate::flow::{FlowHash, FlowRef, ForwardKey, NewFlow, State};
use crate::tables::flow_hash::flow_hash;
use crate::tables::{Backend, BackendId, BackendState, Frontend, FrontendId};

/// A client's packet to a service: on its flow, or on a new one.
#[inline]
pub(super) fn to_backend<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    service: (FrontendId, &Frontend),
    hash: FlowHash,
) -> Result<Plan<'a>, DropReason> {
    let key = forward_key(ip, transport, service.0);
    if let Some(place) = ctx.flows.find_forward(&key, hash)
        && let Some(plan) = on_flow(ctx, ip, transport, service, place)?
    {
        return Ok(plan);
    }
    if service.1.gone {
        return refuse_removed(ctx, ip, transport);
    }
    if transport.proto == Proto::Tcp && !transport.flags.opens() {
        return refuse_transport(ip, transport, DropReason::NoFlow);
    }
    new_flow(ctx, ip, transport, service.1, key)
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

/// The plan for a packet of a known flow; `None` when the flow has ended and a new one may begin.
#[inline]
fn on_flow<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    (id, service): (FrontendId, &Frontend),
    place: FlowRef,
) -> Result<Option<Plan<'a>>, DropReason> {
    let flow = ctx.flows.flow(place);
    let pair = ctx.flows.pair(flow.pair);
    let backend = ctx.tables.backends.get(pair.backend);
    let source = ctx.tables.snat.get(pair.key.snat).map(|snat| (snat.addr, flow.snat_port));
    let reopened = flow.state() == State::Closed && transport.flags.opens();
    let alive = !service.gone
        && !service.left.contains(&pair.backend)
        && backend.is_some_and(|b| b.state != BackendState::Gone);
    let onward = match (backend, source) {
        (Some(backend), Some(src)) => match hop::next(ctx, backend.hop) {
            Ok((next, mtu)) => {
                Some((Translate { src, dst: (backend.addr, backend.port), next }, mtu))
            }
            Err(_) if !alive => None,
            Err(reason) => return Err(reason),
        },
        _ => None,
    };
    match onward {
        Some((translate, mtu)) if alive && !reopened => {
            if let Some(refusal) = obstacle(ctx, ip, mtu) {
                return Ok(Some(refusal));
            }
            ctx.flows.observe(place, Direction::Forward, transport.flags, ctx.now);
            count_in(ctx, id, ip);
            Ok(Some(send_on(ip, translate, mtu)))
        }
        _ if reopened || transport.proto == Proto::Udp => {
            ctx.flows.remove(place);
            Ok(None)
        }
        ended => end_flow(ctx, ip, transport, place, ended.map(|(t, _)| t)).map(Some),
    }
}

fn new_flow<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    service: &Frontend,
    key: ForwardKey,
) -> Result<Plan<'a>, DropReason> {
    let Some((id, backend)) = select(ctx, ip, transport, service) else {
        if let Some(counters) = ctx.counters.frontend(key.frontend) {
            counters.no_backend.add(1);
        }
        return refuse_transport(ip, transport, DropReason::NoBackend);
    };
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        return Ok(refusal);
    }
    let (place, src_addr) = insert(ctx, service, transport, key, (id, backend))?;
    let src = (src_addr, ctx.flows.flow(place).snat_port);
    if let Some(counters) = ctx.counters.frontend(key.frontend) {
        counters.flows.add(1);
    }
    count_in(ctx, key.frontend, ip);
    Ok(send_on(ip, Translate { src, dst: (backend.addr, backend.port), next }, mtu))
}

fn select<'t>(
    ctx: &Ctx<'t>,
    ip: &Ip,
    transport: &Transport,
    service: &Frontend,
) -> Option<(BackendId, &'t Backend)> {
    let maglev = service.maglev.as_ref()?;
    let seeds = &ctx.tables.seeds;
    let hash = flow_hash(seeds, ip.src, transport.src, service.key.port, transport.proto);
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
            classes: ctx.classes,
            class: ctx.classes.of(transport.src),
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

#[inline]
fn count_in(ctx: &Ctx<'_>, id: FrontendId, ip: &Ip) {
    if let Some(counters) = ctx.counters.frontend(id) {
        counters.packets_in.add(1);
        counters.bytes_in.add(u64::from(ip.len));
    }
}
