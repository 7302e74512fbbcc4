//! The plan onto bytes. One arm for each plan, one file for each kind of packet that we write.

/// A ping into its answer.
mod echo;
/// A packet into pieces that fit.
mod fragment;
/// A packet into the ICMP error that quotes it.
mod icmp_error;
/// The MSS that a SYN announces.
mod mss;
/// A packet that only passes by.
mod route;
/// ARP and NDP answers, and announcements.
pub mod neighbour;
/// A TCP packet into RST, for its sender or for the other end.
mod reset;
/// An ICMP error for the other end of the flow that it is about.
mod quoted;
/// A fragment, which goes on as one.
mod piece;
/// New addresses, ports and checksums.
mod translate;

pub(super) use piece::piece;
pub(super) use quoted::error;
pub(super) use reset::sequence_number;

use super::context::{Ctx, Memory};
use super::packet::{Ip, Packet};
use super::plan::{Fate, Plan, Refusal, Translate};
use crate::addr::{Addr, L4Port, Mac};
use crate::drop_reason::DropReason;
use crate::tables::Hop;
use crate::wire::eth;
use crate::xsk::{Frame, View};

/// Carries out `plan` on the packet in `frame`.
///
/// # Errors
/// Only for what the bytes alone can show: a wrong checksum, or no frame left for a packet of
/// our own making.
#[inline(always)]
pub fn rewrite<'p>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    frame: &mut Frame,
    packet: &Packet,
    plan: &'p Plan<'_>,
) -> Result<Fate<'p>, DropReason> {
    let mac = &ctx.tables.port(ctx.port).mac;
    let back = || Link { src: *mac, dst: packet.from };
    match plan {
        Plan::Undecided => unreachable!("stage decides or says why not"),
        Plan::Translate(ip, to) => {
            translate::translate(ctx, &mut memory.umem.view(frame), ip, to)?;
            Ok(Fate::Forward(&to.next))
        }
        Plan::Clamp(ip, to, most) => {
            let view = &mut memory.umem.view(frame);
            translate::translate(ctx, view, ip, to)?;
            mss::clamp(view, ip, *most);
            Ok(Fate::Forward(&to.next))
        }
        Plan::Route(ip, next) => {
            route::pass_on(ctx, &mut memory.umem.view(frame), ip, next);
            Ok(Fate::Forward(next))
        }
        Plan::Fragment(ip, to, mtu) => {
            translate::translate(ctx, &mut memory.umem.view(frame), ip, to)?;
            fragment::split(ctx, memory, frame, ip, (to.next, *mtu))?;
            Ok(Fate::Split)
        }
        Plan::AnswerArp(arp) => {
            memory.pool.shorten(frame);
            neighbour::answer_arp(&mut memory.umem.view(frame), back(), arp);
            Ok(Fate::Advertise(&arp.target))
        }
        Plan::AnswerSolicitation(ip, target) => {
            neighbour::answer_solicitation(&mut memory.umem.view(frame), back(), ip, target)?;
            memory.pool.shorten(frame);
            Ok(Fate::Advertise(target))
        }
        Plan::AnswerEcho(ip) => {
            echo::answer(&mut memory.umem.view(frame), back(), ip)?;
            Ok(Fate::Reply)
        }
        Plan::Refuse(ip, reason, refusal) => {
            refuse(memory, frame, back(), ip, *refusal);
            Ok(Fate::Refuse(*reason))
        }
        Plan::ResetBoth(ip, reason, onward) => {
            reset_other_end(ctx, memory, frame, ip, onward);
            refuse(memory, frame, back(), ip, Refusal::Reset);
            Ok(Fate::Refuse(*reason))
        }
    }
}

/// The MACs of an outgoing frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) src: Mac,
    pub(super) dst: Mac,
}

impl Link {
    /// Writes both MACs; the EtherType stays.
    #[inline]
    pub(super) fn write(self, bytes: &mut [u8]) {
        bytes[..6].copy_from_slice(&self.dst.0);
        bytes[6..12].copy_from_slice(&self.src.0);
    }
}

/// Turns the packet into the answer that tells its sender.
fn refuse(memory: &mut Memory<'_>, frame: &mut Frame, link: Link, ip: &Ip, refusal: Refusal) {
    memory.pool.shorten(frame);
    let view = &mut memory.umem.view(frame);
    match refusal {
        Refusal::Reset => reset::answer(view, link, ip),
        other => icmp_error::answer(view, link, ip, other),
    }
}

/// RST to the other end of the connection, in a frame of its own; without a free frame that end
/// finds out by itself.
fn reset_other_end(
    ctx: &Ctx<'_>,
    memory: &mut Memory<'_>,
    frame: &mut Frame,
    ip: &Ip,
    onward: &Translate,
) {
    let Some(mut extra) = memory.pool.take() else { return };
    let headers = memory.umem.view(frame);
    let mut view: View<'_> = memory.umem.view(&mut extra);
    view.fill_from(headers.bytes());
    let link = Link {
        src: ctx.tables.port(onward.next.port).mac,
        dst: onward.next.mac().unwrap_or_default(),
    };
    reset::onward(&mut view, link, ip, onward);
    if let Err(full) = memory.extra.try_push((extra, onward.next)) {
        memory.pool.give(full.element().0);
    }
}

/// Writes the RST that ends a connection in the name of the first of its `ends`, who has said nothing
/// but SYN.
pub(super) fn forget(
    ctx: &Ctx<'_>,
    view: &mut View<'_>,
    next: &Hop,
    ends: ((Addr, L4Port), (Addr, L4Port)),
    seq: u32,
) {
    let link = Link { src: ctx.tables.port(next.port).mac, dst: next.mac().unwrap_or_default() };
    reset::forget(view, link, ends, seq);
}

/// Cuts off what an Ethernet driver padded.
#[inline]
fn trim(view: &mut View<'_>, ip: &Ip) {
    if !view.is_chain() {
        view.set_len(ip.l3() + usize::from(ip.len));
    }
}

const _: () = assert!(eth::LEN == 14, "Link::write knows where the MACs lie");
