use super::super::classify::Subject;
use super::super::context::Ctx;
use super::super::fetch::{forward_key, reverse_key};
use super::super::packet::{Ip, Packet};
use super::super::plan::Translate;
use super::hop;
use crate::drop_reason::DropReason;
use crate::flow::FlowRef;
use crate::tables::Hop;

/// The way of an ICMP error about a packet of a flow: `subject` is what an answer to that packet would
/// be, and so is the translation. An error tells nothing of the flow's state, which stays as it is
/// (RFC 5508 REQ-6), and is not answered with another (RFC 1122 section 3.2.2).
///
/// # Errors
/// [`DropReason::IcmpError`] without a flow, and why the error cannot go on.
pub(in super::super) fn error(
    ctx: &mut Ctx<'_>,
    packet: &Packet,
    ip: &Ip,
    subject: &Subject<'_>,
) -> Result<Translate, DropReason> {
    if !packet.to_us_alone() {
        return Err(DropReason::IcmpError);
    }
    let (onward, mtu) = onward(ctx, subject)?;
    if ip.ttl <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    // Errors are kept small by those who send them (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
    if ip.len > mtu { Err(DropReason::TooBig) } else { Ok(onward) }
}

fn onward(ctx: &mut Ctx<'_>, subject: &Subject<'_>) -> Result<(Translate, u16), DropReason> {
    match *subject {
        Subject::Service(ip, transport, id, _) => {
            let key = forward_key(ip, transport, id);
            let hash = ctx.flows.prefetch_forward(&key);
            let place = ctx.flows.find_forward(&key, hash).ok_or_else(without_flow)?;
            to_backend(ctx, place)
        }
        Subject::Reply(ip, transport, id, _) => {
            let key = reverse_key(ip, transport, id);
            let hash = ctx.flows.prefetch_reverse(&key);
            let place = ctx.flows.find_reverse(&key, hash).ok_or_else(without_flow)?;
            to_client(ctx, place)
        }
        _ => Err(DropReason::IcmpError),
    }
}

/// In `snat` an error without a flow leads nowhere: the source port is in the flow alone. A mode that
/// keeps no such secret selects the backend here, by Maglev from `ip.src` and `transport.src` of the
/// subject as for the first packet of a flow (design section 4).
fn without_flow() -> DropReason {
    DropReason::IcmpError
}

fn to_backend(ctx: &Ctx<'_>, place: FlowRef) -> Result<(Translate, u16), DropReason> {
    let flow = ctx.flows.flow(place);
    let pair = ctx.flows.pair(flow.pair);
    let backend = ctx.tables.backends.get(pair.backend).ok_or(DropReason::Removed)?;
    let source = ctx.tables.snat.get(pair.key.snat).ok_or(DropReason::Removed)?;
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    let (src, dst) = ((source.addr, flow.snat_port), (backend.addr, backend.port));
    Ok((Translate { src, dst, next }, mtu))
}

fn to_client(ctx: &mut Ctx<'_>, place: FlowRef) -> Result<(Translate, u16), DropReason> {
    let flow = ctx.flows.flow(place);
    let dst = (flow.client, flow.client_port);
    let frontend = ctx.tables.frontends.get(flow.frontend).ok_or(DropReason::Removed)?;
    let src = (frontend.key.addr, frontend.key.port);
    let (next, mtu): (Hop, u16) = hop::to_client(ctx, place)?;
    Ok((Translate { src, dst, next }, mtu))
}
