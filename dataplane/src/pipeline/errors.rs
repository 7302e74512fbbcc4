//! ICMP errors about packets of ours: each goes to the end of the flow that sent what it is about, in
//! words that this end knows (RFC 5508 section 4.2). They are neither answered nor limited: one goes on
//! only when it quotes a flow of ours, and then at most as many do as packets that caused them.

use super::classify::{self, Subject};
use super::context::{Ctx, Memory};
use super::packet::{Ip, Packet};
use super::plan::Fate;
use super::tap::Tap;
use super::tx::Tx;
use super::{quote, rewrite, stage};
use crate::xsk::{Frame, Socket};

/// Translates the error in `frame` and sends it on, or hands it to the owner of its flow.
#[cold]
#[inline(never)]
pub(super) fn pass_on<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (mut frame, packet): (Frame, &Packet),
    ip: &Ip,
) {
    let quote = match quote::read(memory.umem.view(&mut frame).bytes(), ip) {
        Ok(quote) => quote,
        Err(reason) => return tx.end(ctx, memory, frame, reason),
    };
    let unreachable = quote::says_unreachable(memory.umem.view(&mut frame).bytes(), ip);
    let subject = classify::of_ports(ctx.tables, &ctx.share, &quote.ip, &quote.transport);
    if let Ok(Subject::Elsewhere(owner)) = subject {
        return tx.hand_over(ctx, memory, frame, owner);
    }
    let onward = subject.and_then(|subject| stage::error(ctx, packet, (ip, unreachable), &subject));
    let sent = onward.and_then(|onward| {
        let view = &mut memory.umem.view(&mut frame);
        rewrite::error(ctx, view, ip, &quote, &onward).map(|()| onward)
    });
    match sent {
        Ok(onward) => tx.settle(ctx, memory, frame, Fate::Forward(&onward.next)),
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}
