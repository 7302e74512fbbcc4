//! Modes `nat` and `dsr-l2`: the backend sees the client's address. Maglev alone says which backend
//! it is, so a packet goes on without a flow; a flow holds the connection at its backend when the
//! others change.

use super::super::context::Ctx;
use super::super::packet::{Ip, Transport};
use super::super::plan::{Plan, Translate};
use super::service::{self, Name, count_flow, count_in, refuse_without_backend, select};
use super::{hop, obstacle, send_in_service};
use crate::addr::{Addr, L4Port, Proto};
use crate::drop_reason::DropReason;
use crate::flow::{ForwardKey, NatKey, NewDirect};
use crate::tables::frontend::Mode;
use crate::tables::{Backend, BackendId, Frontend, NatEnd};
use crate::wire::tcp::Flags;

/// Whether a flow of this mode can go on in the service. One with a source address of ours can in
/// every mode: that is how hairpin clients are served. The others end when the mode changes.
#[inline]
pub(super) fn fits(flow: Mode, service: &Frontend) -> bool {
    flow == Mode::Snat || flow == service.mode
}

/// What a client's packet is addressed to when it leaves.
#[inline]
pub(super) fn destination(
    mode: Mode,
    backend: &Backend,
    (ip, transport): (&Ip, &Transport),
) -> (Addr, L4Port) {
    match mode {
        Mode::DsrL2 => (ip.dst, transport.dst),
        Mode::Snat | Mode::Nat => (backend.addr, backend.port),
    }
}

/// The plan for a packet without a flow, of a service in one of these modes.
pub(super) fn first_packet<'a>(
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
    let dst = destination(service.mode, backend, (ip, transport));
    let end = NatEnd { addr: backend.addr, port: dst.1, proto: transport.proto };
    let hairpin = is_hairpin(service, backend, ip.src);
    if hairpin || service.mode == Mode::Nat && is_taken(ctx, end, &name.0) {
        return service::from_our_address(ctx, (ip, transport), service, name, plan);
    }
    let (next, mtu) = hop::next(ctx, backend.hop)?;
    if let Some(refusal) = obstacle(ctx, ip, mtu) {
        *plan = refusal;
        return Ok(());
    }
    remember(ctx, transport, service, name, (id, end));
    count_in(ctx, name.0.frontend, ip);
    let translate = Translate { src: (ip.src, transport.src), dst, next };
    send_in_service(plan, (ip, transport), translate, mtu, service);
    Ok(())
}

/// Whether the backend would answer this client past us, and the client would not understand.
pub(super) fn is_hairpin(service: &Frontend, backend: &Backend, client: Addr) -> bool {
    let on_the_same_link = || backend.link.is_some_and(|link| link.contains(&client.to_ip()));
    service.policy.hairpin.cover(client) || service.mode == Mode::Nat && on_the_same_link()
}

/// Whether the client talks to the same backend from the same port through another frontend: to
/// the backend both would be one connection. One that is not accepted, or has ended, gives way.
fn is_taken(ctx: &mut Ctx<'_>, backend: NatEnd, key: &ForwardKey) -> bool {
    let key = NatKey { backend, client: key.client, client_port: key.client_port };
    let Some(place) = ctx.flows.find_nat(&key, ctx.flows.prefetch_nat(&key)) else {
        return false;
    };
    let taken = ctx.flows.flow(place).state().is_accepted();
    if !taken {
        ctx.flows.remove(place);
    }
    taken
}

/// Makes a flow if there is room. An RST ends something, so nothing begins with it.
fn remember(
    ctx: &mut Ctx<'_>,
    transport: &Transport,
    service: &Frontend,
    (key, hash): Name,
    (backend, end): (BackendId, NatEnd),
) {
    if transport.flags.any(Flags::RST) {
        return;
    }
    let opens = transport.proto == Proto::Udp || transport.flags.opens();
    let new = NewDirect { key, mode: service.mode, backend, end, opens };
    if ctx.flows.insert_direct(&new, hash, ctx.now).is_some() {
        count_flow(ctx, key.frontend);
    }
}
