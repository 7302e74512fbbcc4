//! Fragments, one by one. A fragment goes to where its datagram meets, which follows from its bytes; there
//! the first one tells the ports, and with them the owner of the flow; the owner treats each as a packet
//! with these ports. So it is handed over twice at most.

use super::classify::{self, Subject};
use super::context::{Ctx, Memory, Share};
use super::packet::{Body, Ip, Packet};
use super::parse::parse;
use super::piece::Piece;
use super::plan::Plan;
use super::tap::Tap;
use super::tx::Tx;
use super::{fetch, handshake, rewrite, stage, vlan};
use crate::addr::{Mac, Proto};
use crate::capture;
use crate::drop_reason::DropReason;
use crate::fragment::{Held, Note};
use crate::xsk::handover::Notes;
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Socket};

/// A fragment comes to the worker at which its datagram meets, or goes there.
#[cold]
#[inline(never)]
pub(super) fn meet<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (mut frame, packet): (Frame, &Packet),
    ip: &Ip,
) {
    let ours = ctx.tables.addresses.get(&ip.dst).is_some();
    let piece = match Piece::read(memory.umem.view(&mut frame).bytes(), ip) {
        Ok(piece) => piece,
        Err(DropReason::Fragment) if !ours => return route(ctx, memory, tx, (frame, packet), ip),
        Err(reason) => return tx.end(ctx, memory, frame, reason),
    };
    let meeting = piece.key.meets_at(ctx.share.classes);
    if meeting != ctx.share.own {
        return tx.hand_over(ctx, memory, frame, meeting);
    }
    match learn(ctx, memory, &piece) {
        Ok(Some(note)) => {
            go_on(ctx, memory, tx, (frame, packet), (ip, &piece, note));
            if piece.first.is_some() {
                release(ctx, memory, tx, &piece);
            }
        }
        Ok(None) => {
            tx.tap.became(capture::Note::Waits);
            memory.fragments.hold(&piece.key, frame, (ctx.port, ours), ctx.now);
            while let Some(held) = memory.fragments.overflow() {
                give_up(ctx, memory, tx, held, DropReason::FragmentsFull);
            }
        }
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}

/// What the first piece says, or has said.
fn learn(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    piece: &Piece,
) -> Result<Option<Note>, DropReason> {
    match &piece.first {
        None => memory.fragments.follow(&piece.key, piece.part, ctx.now),
        Some(first) => {
            let note = Piece::note(first, ctx.idents.fresh());
            memory.fragments.begin(&piece.key, piece.part, note, ctx.now)?;
            Ok(Some(note))
        }
    }
}

/// The pieces that came before the first one go on as if they came now.
fn release<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    first: &Piece,
) {
    while let Some(held) = memory.fragments.release(&first.key) {
        let (mut frame, packet) = again(ctx, memory, held);
        let fate = with_piece(memory, &mut frame, &packet).and_then(|(ip, piece)| {
            let known = memory.fragments.follow(&piece.key, piece.part, ctx.now)?;
            // Without a note its datagram was complete without it: it is there twice.
            Ok((ip, piece, known.ok_or(DropReason::BadFragment)?))
        });
        match fate {
            Ok((ip, piece, note)) => {
                go_on(ctx, memory, tx, (frame, &packet), (ip, &piece, note));
            }
            Err(reason) => tx.end(ctx, memory, frame, reason),
        }
    }
}

/// A fragment with known ports goes to the owner of its flow, or on from here.
fn go_on<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (frame, packet): (Frame, &Packet),
    (ip, piece, note): (&Ip, &Piece, Note),
) {
    let (ip, transport) = piece.with_ports(ip, &note);
    // To where it meets the others it may have been handed over before.
    let share = Share { handed: false, ..ctx.share };
    match classify::of_ports(ctx.tables, &share, &ip, &transport) {
        Ok(Subject::Elsewhere(owner)) => tx.hand_over_noted(ctx, memory, frame, owner, note),
        Ok(_) => carry_out(ctx, memory, tx, (frame, packet), (&ip, piece, note)),
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}

/// Fragments that were handed over by the worker at which they met, with what is known of their ports.
pub fn run_noted<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    (burst, notes): (&mut Burst, &Notes),
    tx: &mut Tx<'_, S, T>,
) {
    let port = ctx.port;
    for (mut frame, note) in burst.drain(..).zip(notes) {
        ctx.counters.received(port, true, 1, frame.total_len() as u64);
        let (packet, vlan) =
            vlan::untag(memory.umem, &mut frame).unwrap_or_else(|| (read(memory, &mut frame), 0));
        (ctx.port, ctx.vlan) = (ctx.tables.arrived(port, vlan), vlan);
        // A tag is put into answers by the copy of the packet path that looks on.
        let tx = &mut tx.rare();
        tx.tap.received(ctx, memory.umem, &mut frame, &packet);
        let note = Note::from_bits(*note);
        let ours = with_piece(memory, &mut frame, &packet).and_then(|(ip, piece)| {
            let (ip, transport) = piece.with_ports(ip, &note);
            // Whoever handed it over says that it is ours, or it ends here.
            classify::of_ports(ctx.tables, &ctx.share, &ip, &transport)?;
            Ok((ip, piece))
        });
        match ours {
            Ok((ip, piece)) => {
                carry_out(ctx, memory, tx, (frame, &packet), (&ip, &piece, note));
            }
            Err(reason) => tx.end(ctx, memory, frame, reason),
        }
    }
    (ctx.port, ctx.vlan) = (port, 0);
}

/// The owner of the flow decides on a fragment and sends it on.
fn carry_out<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (mut frame, packet): (Frame, &Packet),
    (ip, piece, note): (&Ip, &Piece, Note),
) {
    let mut plan = Plan::default();
    let transport = piece.with_ports(ip, &note).1;
    let staged = classify::of_ports(ctx.tables, &Share::ALL, ip, &transport)
        .and_then(|subject| decide(ctx, packet, &subject, &mut plan));
    if ctx.flows.has_news() {
        handshake::attend(ctx, memory, (&mut frame, packet), tx);
    }
    let fate = staged.and_then(|()| {
        rewrite::piece(ctx, memory, (&mut frame, packet), (piece, note.ident), &plan)
    });
    match fate {
        Ok(fate) => tx.settle(ctx, memory, frame, fate),
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}

fn decide<'a>(
    ctx: &mut Ctx<'_>,
    packet: &Packet,
    subject: &Subject<'a>,
    plan: &mut Plan<'a>,
) -> Result<(), DropReason> {
    let hash = fetch::bucket(ctx.flows, subject);
    stage::stage(ctx, packet, subject, hash, plan)
}

/// A fragment has waited in vain. What came to us as to a router goes on by itself: the steering program
/// takes every later fragment of a backend in mode `nat`, but first ones of services only.
pub fn give_up<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    held: Held,
    reason: DropReason,
) {
    let ours = held.ours;
    let (mut frame, packet) = again(ctx, memory, held);
    if ours {
        return tx.end(ctx, memory, frame, reason);
    }
    let nobodys = Note { proto: Proto::Udp, src: 0, dst: 0, ident: 0 };
    let mut plan = Plan::default();
    let facts = with_piece(memory, &mut frame, &packet)
        .map(|(ip, piece)| (piece.with_ports(ip, &nobodys).0, piece));
    let fate = facts.as_ref().map_err(|reason| *reason).and_then(|(ip, piece)| {
        decide(ctx, &packet, &Subject::Route(ip), &mut plan)?;
        rewrite::piece(ctx, memory, (&mut frame, &packet), (piece, nobodys.ident), &plan)
    });
    match fate {
        Ok(fate) => tx.settle(ctx, memory, frame, fate),
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}

/// A fragment without ports came to us as to a router, from a backend in mode `nat`.
fn route<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
    (mut frame, packet): (Frame, &Packet),
    ip: &Ip,
) {
    let mut plan = Plan::default();
    let fate = decide(ctx, packet, &Subject::Route(ip), &mut plan)
        .and_then(|()| rewrite::rewrite(ctx, memory, &mut frame, packet, &plan));
    match fate {
        Ok(fate) => tx.settle(ctx, memory, frame, fate),
        Err(reason) => tx.end(ctx, memory, frame, reason),
    }
}

/// A fragment that waited, read again.
fn again(ctx: &Ctx<'_>, memory: &Memory<'_>, held: Held) -> (Frame, Packet) {
    let mut frame = held.frame;
    let mut packet = read(memory, &mut frame);
    if held.port != ctx.port {
        // Its sender is on another link than the burst at hand: it is not answered.
        packet.to = Mac::BROADCAST;
    }
    (frame, packet)
}

fn read(memory: &Memory<'_>, frame: &mut Frame) -> Packet {
    let view = memory.umem.view(frame);
    parse(view.bytes(), view.total_len())
}

/// The fragment that a frame held when it was looked at before.
fn with_piece<'p>(
    memory: &Memory<'_>,
    frame: &mut Frame,
    packet: &'p Packet,
) -> Result<(&'p Ip, Piece), DropReason> {
    let Body::Ip(ip) = &packet.body else { return Err(DropReason::Malformed) };
    Ok((ip, Piece::read(memory.umem.view(frame).bytes(), ip)?))
}
