//! Hand-over between workers, and the sleep of the one that takes, under every interleaving that loom
//! finds. Built and run by `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test
//! -p portreeve-dataplane --test loom_handover`.
#![cfg(loom)]

use loom::sync::{Arc, Notify};
use loom::thread;
use portreeve_dataplane::spsc;
use portreeve_dataplane::worker::nap::Nap;

/// The words of one packet of two chunks.
const CHAIN: [u64; 2] = [7, 8];

#[test]
fn what_is_taken_is_whole_and_in_order() {
    loom::model(|| {
        let (mut sender, mut receiver) = spsc::ring(2);
        let taker = thread::spawn(move || {
            let mut taken = Vec::new();
            while taken.len() < 4 {
                match receiver.pop() {
                    Some(word) => taken.push(word),
                    None => {
                        assert!(taken.len() % 2 == 0, "a chain comes whole or not at all");
                        receiver.release();
                        thread::yield_now();
                    }
                }
            }
            taken
        });
        for packet in [CHAIN, [9, 10]] {
            while !sender.push(packet.into_iter()) {
                thread::yield_now();
            }
            sender.publish();
        }
        assert_eq!(taker.join().ok(), Some(vec![7, 8, 9, 10]));
    });
}

/// The taker sleeps only when nothing is there, and is woken when something came after it had looked:
/// if a wake-up could be lost, loom would find the taker waiting for ever.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut sender, mut receiver) = spsc::ring(2);
        let (nap, bell) = (Arc::new(Nap::default()), Arc::new(Notify::new()));
        let giver = {
            let (nap, bell) = (Arc::clone(&nap), Arc::clone(&bell));
            thread::spawn(move || {
                assert!(sender.push([7].into_iter()));
                sender.publish();
                if nap.is_on() {
                    bell.notify();
                }
            })
        };
        loop {
            if receiver.pop().is_some() {
                break;
            }
            nap.begin();
            if receiver.is_empty() {
                bell.wait();
            }
            nap.end();
        }
        assert!(giver.join().is_ok());
    });
}
