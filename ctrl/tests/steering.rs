//! The steering program, by kernel test runs: (label, frame, verdict). Nothing is attached and
//! nothing is pinned here; `adoption` does that, on interfaces of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, also in what it shares")]

#[path = "steering/adoption.rs"]
mod adoption;
#[path = "steering/cases.rs"]
mod cases;
#[path = "steering/frames.rs"]
mod frames;
#[path = "steering/judged.rs"]
mod judged;
#[path = "steering/object.rs"]
mod object;
#[path = "steering/rig.rs"]
mod rig;
#[path = "steering/world.rs"]
mod world;

use std::io::Write as _;

use portreeve_bpf_abi::Verdict;
use world::World;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
/// The kernel's test run takes no frames shorter than an Ethernet header.
const SHORTEST: usize = 14;

/// What has to become of a frame by its cause: (without a socket, with one).
fn expected(cause: Verdict) -> [(u32, Verdict); 2] {
    match cause {
        Verdict::Host | Verdict::UnknownFragment | Verdict::Other => {
            [(XDP_PASS, Verdict::Passed); 2]
        }
        Verdict::Egress | Verdict::NatFragment => {
            [(XDP_PASS, Verdict::PassedNoSocket), (XDP_REDIRECT, Verdict::Redirected)]
        }
        _ => [(XDP_DROP, Verdict::DroppedNoSocket), (XDP_REDIRECT, Verdict::Redirected)],
    }
}

#[test]
fn every_frame_of_the_table_goes_where_it_belongs() {
    if !has_root("every_frame_of_the_table_goes_where_it_belongs") {
        return;
    }
    let cases = cases::all();
    assert!(cases.len() >= 45, "{} cases", cases.len());
    every_one_goes_where_it_belongs(&cases);
}

#[test]
fn a_vlan_tag_changes_nothing() {
    if !has_root("a_vlan_tag_changes_nothing") {
        return;
    }
    let mut cases = cases::all();
    cases.retain(|(_, frame, _)| ![[0x81, 0], [0x88, 0xa8]].contains(&[frame[12], frame[13]]));
    for (_, frame, _) in &mut cases {
        frame.splice(12..12, [0x81, 0, 0x60, 7]);
    }
    every_one_goes_where_it_belongs(&cases);
}

fn every_one_goes_where_it_belongs(cases: &[cases::Case]) {
    let mut world = World::new();
    let mut wrong = Vec::new();
    for there in [false, true] {
        world.set_socket(there);
        for (label, frame, cause) in cases {
            let (action, outcome) = expected(*cause)[usize::from(there)];
            let found = world.run(frame);
            if found != (action, vec![outcome, *cause]) {
                wrong
                    .push(format!("{label}, socket {there}: {found:?}, not {outcome:?} {cause:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_cause_has_a_frame() {
    let cases = cases::all();
    let outcomes =
        [Verdict::Passed, Verdict::Redirected, Verdict::DroppedNoSocket, Verdict::PassedNoSocket];
    for verdict in Verdict::ALL {
        let shown = cases.iter().any(|(.., cause)| *cause == verdict);
        assert!(shown != outcomes.contains(&verdict), "{verdict:?}");
    }
}

#[test]
fn a_truncated_frame_passes_or_stays_what_it_was() {
    if !has_root("a_truncated_frame_passes_or_stays_what_it_was") {
        return;
    }
    let world = World::new();
    for (label, frame, cause) in cases::all() {
        let steps = (SHORTEST..frame.len()).filter(|length| *length < 200 || length % 500 == 0);
        for length in steps {
            let (action, raised) = world.run(&frame[..length]);
            let allowed = [cause, Verdict::Other, Verdict::Host, Verdict::UnknownFragment];
            let [outcome, found] = raised[..] else {
                panic!("{label}, {length} bytes: {raised:?}")
            };
            assert!(allowed.contains(&found), "{label}, {length} bytes: {found:?}");
            assert_eq!((action, outcome), expected(found)[0], "{label}, {length} bytes");
        }
    }
}

#[test]
fn a_garbled_frame_is_counted_once_by_outcome_and_once_by_cause() {
    if !has_root("a_garbled_frame_is_counted_once_by_outcome_and_once_by_cause") {
        return;
    }
    let world = World::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for (label, frame, _) in cases::all() {
        for _ in 0..20 {
            let mut garbled = frame.clone();
            for _ in 0..=next() % 4 {
                let at = SHORTEST + next() % (frame.len() - SHORTEST);
                garbled[at] = next() as u8;
            }
            let (action, raised) = world.run(&garbled);
            let [outcome, cause] = raised[..] else {
                panic!("{label}: {garbled:02x?}: {raised:?}")
            };
            assert_eq!((action, outcome), expected(cause)[0], "{label}: {garbled:02x?}");
        }
    }
}

#[test]
fn a_queue_beyond_those_of_the_port_finds_no_socket() {
    if !has_root("a_queue_beyond_those_of_the_port_finds_no_socket") {
        return;
    }
    let mut world = World::new();
    world.set_socket(true);
    world.set_port(Some(0));
    for (label, frame, cause) in cases::all() {
        let (action, outcome) = expected(cause)[0];
        assert_eq!(world.run(&frame), (action, vec![outcome, cause]), "{label}");
    }
}

#[test]
fn an_interface_that_is_no_port_passes_everything() {
    if !has_root("an_interface_that_is_no_port_passes_everything") {
        return;
    }
    let mut world = World::new();
    world.set_socket(true);
    world.set_port(None);
    for (label, frame, _) in cases::all() {
        let passed = (XDP_PASS, vec![Verdict::Passed, Verdict::Other]);
        assert_eq!(world.run(&frame), passed, "{label}");
    }
}

/// Whether this process may load programs; says loudly if not, past the test harness, which would
/// keep the words of a passing test to itself.
fn has_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIP {test}: needs root: it loads a BPF program")
            .expect("stderr is open");
    }
    root
}
