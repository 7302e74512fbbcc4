//! The life of a packet. Each word on this screen is a file.

/// What clearly is another worker's goes there unread.
pub mod deal;
/// Bytes to facts.
pub mod parse;
/// Facts to whose it is.
pub mod classify;
/// What the next step will read is asked for ahead.
pub mod fetch;
/// Service and flow state to a plan for this packet: the only step that changes flow state.
pub mod stage;
/// The plan onto bytes.
pub mod rewrite;
/// Out, to wait for a next hop, or home to the pool.
pub mod tx;
/// Others that claim an address of ours.
mod claim;
/// What is to be done about handshakes, before the packet at hand goes on.
mod handshake;
/// What would become of a packet, without one.
pub mod rehearse;

/// ICMP errors: to the end of the flow that sent what they are about.
pub mod errors;

/// Fragments: each follows the first one of its datagram.
pub mod fragments;

/// Frames with a VLAN tag.
pub mod vlan;
/// What a packet is, as a value.
pub mod packet;
/// What a fragment is, as a value.
pub mod piece;
/// What an ICMP error is about, as a value.
pub mod quote;
/// What shall happen to a packet, as a value.
pub mod plan;
/// What every step is handed.
pub mod context;
/// How often we speak up ourselves.
pub mod limiter;
/// Frames that wait for their next hop's MAC.
pub mod waiting;
/// Who looks on.
pub mod tap;

pub use context::{Ctx, Memory};

use arrayvec::ArrayVec;

use crate::capture::Note;
use crate::drop_reason::DropReason;
use crate::flow::FlowHash;
use crate::limits::BURST;
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Socket};
use classify::Subject;
use deal::Known;
use packet::Packet;
use plan::Plan;
use tap::Tap;
use tx::Tx;

/// The packets of a burst.
pub type Packets = ArrayVec<Packet, BURST>;
/// Whose they are, or why one ends here.
pub type Subjects<'a> = ArrayVec<Result<Subject<'a>, DropReason>, BURST>;
/// The hashes of their flows' keys.
pub type Hashes = ArrayVec<FlowHash, BURST>;

/// The packets that were received in one go (`worker.rs` receives them, and sends on those that
/// waited). The burst is parsed, classified and looked up as a whole, so that what a step reads was
/// asked for a step ahead; then each packet is decided on, rewritten and sent by itself, since one
/// may make the flow that the next one finds. A packet of another worker's flow is handed over as it
/// is. A plan is written in place (docs/decisions/0007).
/// Every frame leaves through `tx` or goes home; what is made besides (fragments, a second RST) lies
/// in `memory.extra` until `tx` sends it. Frames with VLAN tags come last, as a burst of their own.
/// This is compiled twice, since what nobody needs must not cost: with a tap and without one.
pub fn run_burst<'a, S: Socket, T: Tap>(
    ctx: &mut Ctx<'a>,
    memory: &mut Memory<'_>,
    burst: &mut Burst,
    known: &Known<'a>,
    tx: &mut Tx<'_, S, T>,
) {
    // What each step makes stays where it is written: these are kilobytes (docs/decisions/0007).
    let (mut packets, mut subjects, mut hashes) = (Packets::new(), Subjects::new(), Hashes::new());
    parse::burst(ctx, memory, burst, &mut packets);
    classify::burst(ctx, &packets, known, &mut subjects);
    fetch::burst(ctx.flows, &subjects, &mut hashes);
    let facts = packets.iter().zip(&subjects).zip(&hashes);
    for (frame, ((packet, subject), hash)) in burst.drain(..).zip(facts) {
        run_packet(ctx, memory, frame, (packet, subject, *hash), tx);
    }
    if !memory.tagged.is_empty() {
        vlan::run(ctx, memory, tx);
    }
}

/// Decides on one packet, and sends or ends it.
#[inline(always)]
fn run_packet<'a, S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    mut frame: Frame,
    (packet, subject, hash): (&'a Packet, &Result<Subject<'a>, DropReason>, FlowHash),
    tx: &mut Tx<'_, S, T>,
) {
    tx.tap.received(ctx, memory.umem, &mut frame, packet);
    if let Ok(subject) = subject
        && subject.goes_another_way()
    {
        return another_way(ctx, memory, tx, (frame, packet), subject);
    }
    let mut plan = Plan::default();
    let fate = match subject {
        Ok(subject) => {
            let staged = stage::stage(ctx, packet, subject, hash, &mut plan);
            if ctx.flows.has_news() {
                handshake::attend(ctx, memory, (&mut frame, packet), tx);
            }
            staged.and_then(|()| rewrite::rewrite(ctx, memory, &mut frame, packet, &plan))
        }
        Err(reason) => Err(*reason),
    };
    match fate {
        Ok(fate) => tx.settle(ctx, memory, frame, fate),
        Err(DropReason::UnknownEthertype) if vlan::is_tagged(memory.umem, &mut frame) => {
            memory.tagged.push(frame);
        }
        Err(reason) => {
            if reason == DropReason::NeighbourOther {
                claim::notice(ctx, packet, tx.ask);
            }
            ctx.counters.dropped(reason);
            tx.tap.became(Note::Dropped(reason));
            memory.pool.give(frame);
        }
    }
}

/// Packets that say themselves neither whose they are nor what becomes of them here.
#[inline(never)]
fn another_way<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (frame, packet): (Frame, &Packet),
    subject: &Subject<'_>,
) {
    match subject {
        Subject::Elsewhere(owner) => tx.hand_over(ctx, memory, frame, *owner),
        Subject::Fragment(ip) => {
            fragments::meet(ctx, memory, &mut tx.rare(), (frame, packet), ip);
        }
        Subject::Error(ip) => errors::pass_on(ctx, memory, &mut tx.rare(), (frame, packet), ip),
        _ => unreachable!("it goes through the steps"),
    }
}
