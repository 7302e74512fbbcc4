use super::super::context::Ctx;
use super::super::fetch::reverse_key;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::{end_flow, hop, obstacle, refuse_transport, send_on};
use crate::drop_reason::DropReason;
use crate::flow::FlowHash;
use crate::flow::state::Direction;
use crate::tables::{BackendState, SnatId};

/// A backend's packet to one of our source addresses: back to the client of its flow.
#[inline]
pub(super) fn to_client<'a>(
    ctx: &mut Ctx<'_>,
    ip: &'a Ip,
    transport: &Transport,
    snat: SnatId,
    hash: FlowHash,
) -> Result<Plan<'a>, DropReason> {
    let key = reverse_key(ip, transport, snat);
    let Some(place) = ctx.flows.find_reverse(&key, hash) else {
        return refuse_transport(ip, transport, DropReason::ReplyUnknown);
    };
    let flow = ctx.flows.flow(place);
    let (frontend_id, client) = (flow.frontend, (flow.client, flow.client_port));
    let backend_id = ctx.flows.pair(flow.pair).backend;
    let backend = ctx.tables.backends.get(backend_id);
    let Some(frontend) = ctx.tables.frontends.get(frontend_id) else {
        return end_flow(ctx, ip, transport, place, None);
    };
    let src = (frontend.key.addr, frontend.key.port);
    let gone = frontend.gone
        || frontend.left.contains(&backend_id)
        || backend.is_none_or(|b| b.state == BackendState::Gone);
    let (next, mtu) = hop::to_client(ctx, place)?;
    let translate = Translate { src, dst: client, next };
    if gone {
        return end_flow(ctx, ip, transport, place, Some(translate));
    }
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        return Ok(refusal);
    }
    ctx.flows.observe(place, Direction::Reverse, transport.flags, ctx.now);
    if let Some(counters) = ctx.counters.frontend(frontend_id) {
        counters.packets_out.add(1);
        counters.bytes_out.add(u64::from(ip.len));
    }
    Ok(send_on(ip, translate, mtu))
}
