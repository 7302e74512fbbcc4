//! Until when addresses are announced. A deadline that is far off or long past stands for one that a
//! worker meets earlier or later: no test waits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/packet.rs"]
mod packet;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/story.rs"]
mod story;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use packet::*;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::{Deadline, Deadlines, PortId};
use portreeve_dataplane::time::BootTime;
use portreeve_dataplane::worker::command::Command;
use story::*;
use world::*;

const ENDED: BootTime = BootTime(0);

fn far_off() -> BootTime {
    BootTime::now().after(Duration::from_secs(3_600))
}

/// Both VIPs under one deadline.
fn leased(options: Options, at: BootTime) -> (World, Deadline) {
    let mut world = World::with(options);
    let deadline = Deadline::new(at);
    world.change(|tables| tables.deadlines = deadlines(&deadline));
    (world, deadline)
}

fn deadlines(deadline: &Deadline) -> Arc<Deadlines> {
    Arc::new([VIP, VIP6].map(|vip| (addr(vip), deadline.clone())).into_iter().collect())
}

/// Asks for both VIPs; how many answers came.
fn ask(world: &mut World) -> usize {
    let questions = [arp(CLIENT, VIP, 1), solicitation(CLIENT6, VIP6, 255)];
    let before = world.drops(DropReason::LeaseExpired);
    let answers: usize = questions.iter().map(|question| world.send(0, question).len()).sum();
    let ended = world.drops(DropReason::LeaseExpired) - before;
    assert_eq!(answers + ended as usize, 2, "answered, or counted");
    world.assert_conserved();
    answers
}

#[test]
fn after_the_deadline_nobody_is_answered_until_it_is_renewed() {
    let (mut world, deadline) = leased(Options::default(), far_off());
    assert_eq!(ask(&mut world), 2);
    deadline.set(ENDED);
    assert_eq!(ask(&mut world), 0);
    deadline.set(far_off());
    assert_eq!(ask(&mut world), 2);
    deadline.set(BootTime::now());
    assert_eq!(ask(&mut world), 0, "the moment itself is past");
}

#[test]
fn forwarding_goes_on_after_the_deadline() {
    let (mut world, deadline) = leased(Options::default(), far_off());
    let syn = open(&mut world, (CLIENT, 4000), VIP);
    deadline.set(ENDED);
    let mut forwarded =
        |port, packet: Vec<u8>| assert_eq!(world.send(port, &packet).len(), 1, "{packet:?}");
    forwarded(0, tcp(0, (CLIENT, 4000), (VIP, 80), "A", b"more"));
    forwarded(1, tcp(1, (&syn.dst.to_string(), 8080), (SNAT, tcp_of(&syn).0), "A", b"reply"));
    forwarded(0, tcp(0, (CLIENT, 4001), (VIP, 80), "S", b""));
    forwarded(0, ping(CLIENT, VIP, b"data"));
    assert_eq!(world.drops(DropReason::LeaseExpired), 0);
    world.assert_conserved();
}

#[test]
fn what_waited_in_the_ring_while_the_process_was_stopped_is_not_answered() {
    // The pause lies between the beginning of the turn, which reads a clock, and the packets.
    let pause = Duration::from_millis(20);
    let options = Options { delay_ns: pause.as_nanos() as u64, ..Options::default() };
    let (mut world, deadline) = leased(options, far_off());
    assert_eq!(ask(&mut world), 2);
    for question in [arp(CLIENT, VIP, 1), solicitation(CLIENT6, VIP6, 255)] {
        assert!(world.worker.lanes_mut()[0].socket.inject(&question));
    }
    deadline.set(BootTime::now().after(pause / 4));
    assert!(world.turn().is_empty());
    assert_eq!(world.drops(DropReason::LeaseExpired), 2);
}

#[test]
fn an_answer_does_not_wait_for_the_end_of_the_turn() {
    let (mut world, _) = leased(Options::default(), far_off());
    let sent = world.worker.lend(0, portreeve_dataplane::time::Tick(0), |ctx, memory, tx| {
        tx.announce(ctx, memory, PortId(0), addr(VIP));
        tx.lanes[0].socket.take_sent().len()
    });
    assert_eq!(sent, 1);
}

#[test]
fn announcements_of_our_own_end_with_the_deadline_too() {
    let (mut world, deadline) = leased(Options::default(), far_off());
    let mut announced = |ends: BootTime| {
        deadline.set(ends);
        for vip in [VIP, VIP6] {
            let announce = Command::Announce { addr: addr(vip), port: PortId(0) };
            world.commands.send(announce).unwrap();
        }
        world.turn().len()
    };
    assert_eq!(announced(far_off()), 2);
    assert_eq!(announced(ENDED), 0);
    assert_eq!(world.counters.originated_lost.get(), 2);
    world.assert_conserved();
}

#[test]
fn new_tables_neither_bring_a_deadline_back_nor_lose_a_renewal() {
    let (mut world, deadline) = leased(Options::default(), ENDED);
    let mut others = World::new().publisher.current().clone();
    others.deadlines = deadlines(&deadline);
    world.publisher.publish(others.clone());
    assert_eq!(ask(&mut world), 0, "it has ended for these tables, too");
    deadline.set(far_off());
    world.publisher.publish(others);
    assert_eq!(ask(&mut world), 2);
}

#[test]
fn who_claims_what_we_must_not_announce_any_more_claims_nothing_of_ours() {
    let (mut world, deadline) = leased(Options::default(), far_off());
    let mut claims = |ends| {
        deadline.set(ends);
        assert!(world.send(0, &arp(VIP, VIP, 1)).is_empty());
        world.claimed.try_iter().count()
    };
    assert_eq!(claims(far_off()), 1, "two answer for it");
    assert_eq!(claims(ENDED), 0, "our successor has taken it");
}
