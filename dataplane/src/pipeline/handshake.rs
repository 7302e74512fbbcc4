//! Of a handshake that gave way to newer ones its backend is told at once. It would wait for a minute
//! otherwise, and take the next SYN from the same port of ours for a stray segment of the old one:
//! a flood would leave no port at which it answers (docs/decisions/0018).

use super::context::{Ctx, Memory};
use super::packet::{Body, Packet};
use super::rewrite;
use super::stage::next_hop;
use super::tap::Tap;
use super::tx::Tx;
use crate::flow::Gone;
use crate::xsk::{Frame, Socket};

/// Notes the number of a SYN that began a flow, so that its backend can be told, and tells the backends
/// of those that gave way. They hear it before the SYN, which may come from the same port.
#[inline(always)]
pub(super) fn attend<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    (frame, packet): (&mut Frame, &Packet),
    tx: &mut Tx<'_, S, T>,
) {
    let seq = match &packet.body {
        Body::Ip(ip) => rewrite::sequence_number(memory.umem.view(frame).bytes(), ip),
        _ => None,
    };
    ctx.flows.number(seq.unwrap_or_default());
    if ctx.flows.has_gone() {
        forget_all(ctx, memory, tx);
    }
}

#[cold]
#[inline(never)]
fn forget_all<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
) {
    while let Some(gone) = ctx.flows.next_gone() {
        forget(ctx, memory, tx, &gone);
    }
}

/// RST to the backend in the client's name. When there is no frame or no way now, it finds out by itself.
fn forget<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    gone: &Gone,
) {
    let Some(backend) = ctx.tables.backends.get(gone.backend) else { return };
    let Some(snat) = ctx.tables.snat.get(gone.snat) else { return };
    let Ok((next, _)) = next_hop(ctx, backend.hop) else { return };
    if next.mac().is_none() {
        return;
    }
    let Some(mut frame) = memory.pool.take() else { return };
    let ends = ((snat.addr, gone.snat_port), gone.at);
    rewrite::forget(ctx, &mut memory.umem.view(&mut frame), &next, ends, gone.seq);
    tx.send_aside(ctx, memory, frame, &next);
}
