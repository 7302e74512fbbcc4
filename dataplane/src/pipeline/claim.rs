use super::context::Ctx;
use super::packet::{Body, Packet};
use super::tx::AskHop;

/// Tells control of a station that claims an address which we announce on the same link (RFC 5227
/// section 2.4, RFC 4862 section 5.4.4). Our own announcements, sent back by a switch or heard on
/// another port, are none; nor is a claim of what we must not announce any more, since then it is
/// another gateway's. A liar cannot keep control busy: what is left out is claimed again.
#[cold]
pub(super) fn notice(ctx: &mut Ctx<'_>, packet: &Packet, ask: &dyn AskHop) {
    let (addr, mac) = match packet.body {
        Body::Arp(arp) => (arp.sender, arp.sender_mac),
        Body::Advertisement(target) => (target, packet.from),
        _ => return,
    };
    let owned = ctx.tables.addresses.get(&addr);
    let announced = owned.is_some_and(|owned| owned.announce.contains(ctx.port));
    let ours = ctx.tables.ports.iter().any(|port| port.mac == mac);
    if announced && !ours && !ctx.tables.deadlines.over(&addr) && ctx.limiters.claims.allow(ctx.now)
    {
        ask.claimed(ctx.port, addr, mac);
    }
}
