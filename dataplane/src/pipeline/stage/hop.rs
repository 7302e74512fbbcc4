use super::super::context::Ctx;
use crate::drop_reason::DropReason;
use crate::flow::FlowRef;
use crate::tables::Hop;
use crate::tables::route::HopRef;

/// The next hop that a reference stands for, and the MTU on the way there.
#[inline(always)]
pub(in crate::pipeline) fn next(ctx: &Ctx<'_>, hop: HopRef) -> Result<(Hop, u16), DropReason> {
    match hop {
        HopRef::Via { hop: id, mtu } => {
            let hop = ctx.tables.routing.hop(id).ok_or(DropReason::NoRoute)?;
            ctx.counters.hop_used(id);
            Ok((*hop, mtu))
        }
        HopRef::Ask { port, addr, mtu } => Ok((Hop::new(port, addr, None), mtu)),
        HopRef::Unreachable => Err(DropReason::NoRoute),
    }
}

/// The next hop towards the client of a flow: looked up once, then cached with the flow until
/// routes or hops change.
#[inline]
pub(super) fn to_client(ctx: &mut Ctx<'_>, place: FlowRef) -> Result<(Hop, u16), DropReason> {
    let routing = &ctx.tables.routing;
    let flow = ctx.flows.flow(place);
    if flow.hop_mtu != 0 && flow.hop_generation == routing.generation {
        return next(ctx, HopRef::Via { hop: flow.hop, mtu: flow.hop_mtu });
    }
    let found = routing.resolve(flow.client, |port| ctx.tables.port(port).mtu);
    if let HopRef::Via { hop, mtu } = found {
        ctx.flows.cache_hop(place, hop, routing.generation, mtu);
    }
    next(ctx, found)
}
