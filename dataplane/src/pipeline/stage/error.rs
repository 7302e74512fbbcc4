use super::super::classify::Subject;
use super::super::context::Ctx;
use super::super::fetch::{forward_key, nat_key, reverse_key};
use super::super::packet::{Ip, Packet, Transport};
use super::super::plan::Translate;
use super::direct::{destination, is_hairpin};
use super::hop;
use super::service::select;
use crate::drop_reason::DropReason;
use crate::flow::FlowRef;
use crate::tables::frontend::Mode;
use crate::tables::{BackendId, Frontend, FrontendId, Stateless};

/// A way and the MTU on it.
type Way = (Translate, u16);

/// The way of an ICMP error about a packet of a flow: `subject` is what an answer to that packet would
/// be, and so is the translation. An error tells nothing of the flow's state, which stays as it is
/// (RFC 5508 REQ-6), and is not answered with another (RFC 1122 section 3.2.2).
///
/// # Errors
/// [`DropReason::IcmpError`] without a flow, and why the error cannot go on.
pub(in super::super) fn error(
    ctx: &mut Ctx<'_>,
    packet: &Packet,
    (ip, says_unreachable): (&Ip, bool),
    subject: &Subject<'_>,
) -> Result<Translate, DropReason> {
    if !packet.to_us_alone() {
        return Err(DropReason::IcmpError);
    }
    let (onward, mtu) = onward(ctx, subject, says_unreachable)?;
    if ip.ttl <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    // Errors are kept small by those who send them (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
    if ip.len > mtu { Err(DropReason::TooBig) } else { Ok(onward) }
}

fn onward(
    ctx: &mut Ctx<'_>,
    subject: &Subject<'_>,
    says_unreachable: bool,
) -> Result<Way, DropReason> {
    match *subject {
        Subject::Service(ip, transport, id, frontend) => {
            let key = forward_key(ip, transport, id);
            match ctx.flows.find_forward(&key, ctx.flows.prefetch_forward(&key)) {
                Some(place) => to_backend(ctx, (ip, transport), place),
                None => to_selected(ctx, (ip, transport), frontend),
            }
        }
        Subject::Reply(ip, transport, id, _) => {
            let key = reverse_key(ip, transport, id);
            let place = ctx.flows.find_reverse(&key, ctx.flows.prefetch_reverse(&key));
            to_client(ctx, place.ok_or(DropReason::IcmpError)?, says_unreachable)
        }
        Subject::NatReply(ip, transport, stateless) => {
            let key = nat_key(ip, transport);
            match ctx.flows.find_nat(&key, ctx.flows.prefetch_nat(&key)) {
                Some(place) => to_client(ctx, place, says_unreachable),
                None => past_flows(ctx, (ip, transport), stateless),
            }
        }
        Subject::Route(ip) => as_it_is(ctx, ip),
        _ => Err(DropReason::IcmpError),
    }
}

fn to_backend(
    ctx: &Ctx<'_>,
    (ip, transport): (&Ip, &Transport),
    place: FlowRef,
) -> Result<Way, DropReason> {
    let flow = ctx.flows.flow(place);
    let pair = ctx.flows.pair(flow.pair);
    let backend = ctx.tables.backends.get(pair.backend).ok_or(DropReason::Removed)?;
    let src = match flow.mode {
        Mode::Snat => {
            let source = ctx.tables.snat.get(pair.key.snat).ok_or(DropReason::Removed)?;
            (source.addr, flow.snat_port)
        }
        Mode::Nat | Mode::DsrL2 => (ip.src, transport.src),
    };
    let dst = destination(flow.mode, backend, (ip, transport));
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    Ok((Translate { src, dst, next }, mtu))
}

/// Without a flow Maglev says which backend the client has (design section 4), where our own port is
/// not the only thing that does.
fn to_selected(
    ctx: &Ctx<'_>,
    (ip, transport): (&Ip, &Transport),
    frontend: &Frontend,
) -> Result<Way, DropReason> {
    if frontend.mode == Mode::Snat || frontend.gone {
        return Err(DropReason::IcmpError);
    }
    let (_, backend) = select(ctx, ip, transport, frontend).ok_or(DropReason::IcmpError)?;
    if is_hairpin(frontend, backend, ip.src) {
        return Err(DropReason::IcmpError);
    }
    let dst = destination(frontend.mode, backend, (ip, transport));
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    Ok((Translate { src: (ip.src, transport.src), dst, next }, mtu))
}

/// What comes from a backend's side is a hint about the backend, too.
fn to_client(ctx: &mut Ctx<'_>, place: FlowRef, says_unreachable: bool) -> Result<Way, DropReason> {
    let flow = ctx.flows.flow(place);
    if says_unreachable
        && let Some(counters) = ctx.counters.backend(ctx.flows.pair(flow.pair).backend)
    {
        counters.unreachable.add(1);
    }
    let dst = (flow.client, flow.client_port);
    let frontend = ctx.tables.frontends.get(flow.frontend).ok_or(DropReason::Removed)?;
    let src = (frontend.key.addr, frontend.key.port);
    let (next, mtu) = hop::to_client(ctx, place)?;
    Ok((Translate { src, dst, next }, mtu))
}

/// As a reply without a flow: see `nat.rs` beside this.
fn past_flows(
    ctx: &Ctx<'_>,
    (ip, transport): (&Ip, &Transport),
    stateless: Stateless,
) -> Result<Way, DropReason> {
    match stateless {
        Stateless::Reply(frontend, backend) => {
            let (mut onward, mtu) = as_it_is(ctx, ip)?;
            if let Some(frontend) = served(ctx, ip, (frontend, backend)) {
                onward.src = (frontend.key.addr, frontend.key.port);
                onward.dst = (ip.dst, transport.dst);
            }
            Ok((onward, mtu))
        }
        Stateless::Ambiguous => Err(DropReason::ReplyAmbiguous),
        Stateless::Route => as_it_is(ctx, ip),
    }
}

/// The frontend through which the client `ip.dst` talks to the backend, if it does not talk to it itself.
fn served<'t>(
    ctx: &Ctx<'t>,
    ip: &Ip,
    (frontend, backend): (FrontendId, BackendId),
) -> Option<&'t Frontend> {
    let frontend = ctx.tables.frontends.get(frontend).filter(|frontend| !frontend.gone)?;
    let backend = ctx.tables.backends.get(backend)?;
    (!is_hairpin(frontend, backend, ip.dst)).then_some(frontend)
}

/// It came to us as to a router.
fn as_it_is(ctx: &Ctx<'_>, ip: &Ip) -> Result<Way, DropReason> {
    let found = ctx.tables.routing.resolve(ip.dst, |port| ctx.tables.port(port).mtu);
    let (next, mtu) = hop::next(ctx, found)?;
    let (src, dst) = ip.ends();
    Ok((Translate { src, dst, next }, mtu))
}
