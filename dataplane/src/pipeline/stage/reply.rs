use super::super::context::Ctx;
use super::super::fetch::reverse_key;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::direct::fits;
use super::{end_flow, hop, obstacle, refuse_transport, send_in_service};
use crate::addr::Proto;
use crate::drop_reason::DropReason;
use crate::flow::state::Direction;
use crate::flow::{FlowHash, FlowRef, State};
use crate::tables::{BackendId, BackendState, SnatId};
use crate::wire::tcp::Flags;

/// A backend's packet to one of our source addresses: back to the client of its flow.
#[inline]
pub(super) fn to_client<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    snat: SnatId,
    hash: FlowHash,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let key = reverse_key(ip, transport, snat);
    let Some(place) = ctx.flows.find_reverse(&key, hash) else {
        *plan = refuse_transport(ip, transport, DropReason::ReplyUnknown)?;
        return Ok(());
    };
    on_flow(ctx, (ip, transport), place, plan)
}

/// The plan for a backend's packet of a known flow. Part of each caller, since it is all that they do.
#[inline(always)]
pub(super) fn on_flow<'a>(
    ctx: &mut Ctx<'_>,
    (ip, transport): (&'a Ip, &Transport),
    place: FlowRef,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let flow = ctx.flows.flow(place);
    let mode = flow.mode;
    let (frontend_id, client) = (flow.frontend, (flow.client, flow.client_port));
    let backend_id = ctx.flows.pair(flow.pair).backend;
    let backend = ctx.tables.backends.get(backend_id);
    let Some(frontend) = ctx.tables.frontends.get(frontend_id) else {
        *plan = end_flow(ctx, ip, transport, place, None)?;
        return Ok(());
    };
    let src = (frontend.key.addr, frontend.key.port);
    let gone = frontend.gone
        || !fits(mode, frontend)
        || frontend.left.contains(&backend_id)
        || backend.is_none_or(|b| b.state == BackendState::Gone);
    let (next, mtu) = hop::to_client(ctx, place)?;
    let translate = Translate { src, dst: client, next };
    if gone {
        *plan = end_flow(ctx, ip, transport, place, Some(translate))?;
        return Ok(());
    }
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        *plan = refusal;
        return Ok(());
    }
    if transport.flags.any(Flags::RST) && transport.proto == Proto::Tcp {
        note_reset(ctx, place, backend_id);
    }
    ctx.flows.observe(place, Direction::Reverse, transport.flags, ctx.now);
    if let Some(counters) = ctx.counters.frontend(frontend_id) {
        counters.packets_out.add(1);
        counters.bytes_out.add(u64::from(ip.len));
    }
    send_in_service(plan, (ip, transport), translate, mtu, frontend);
    Ok(())
}

/// A backend ends a connection by RST, or does not let it begin.
#[cold]
fn note_reset(ctx: &Ctx<'_>, place: FlowRef, backend: BackendId) {
    let Some(counters) = ctx.counters.backend(backend) else { return };
    match ctx.flows.flow(place).state() {
        // Over already: what comes late says nothing.
        State::Closed => {}
        state if state.is_half_open() => counters.refused.add(1),
        _ => counters.resets.add(1),
    }
}
