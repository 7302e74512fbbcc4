//! Elections of several gateways against one API server, in a world without real time: with delays,
//! lost answers, pauses, partitions, deaths, and clocks that know nothing of each other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The API server, as far as leases go.
#[path = "election/server.rs"]
mod server;
/// One gateway: its elections, and what is on its way to it.
#[path = "election/gateway.rs"]
mod gateway;
/// What happens, in order.
#[path = "election/world.rs"]
mod world;

use proptest::prelude::*;

use portreeve::kubernetes::election::OnApiLoss;
use world::{Fault, GATEWAYS, LEASES, Trouble, World};

/// The lab's, in milliseconds.
const DURATION: u64 = 3_000;
const RETRY: u64 = 200;

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let trouble = prop_oneof![
        (0..GATEWAYS, 1_u64..10_000).prop_map(|(gateway, ms)| Trouble::Pause(gateway, ms)),
        (0..GATEWAYS, 1_u64..10_000).prop_map(|(gateway, ms)| Trouble::Partition(gateway, ms)),
        (0..GATEWAYS, 1_u64..5_000).prop_map(|(gateway, ms)| Trouble::Stall(gateway, ms)),
        (0..GATEWAYS, 1_u64..5_000).prop_map(|(gateway, ms)| Trouble::Death(gateway, ms)),
        (1_u64..8_000).prop_map(Trouble::ServerGone),
    ];
    let fault = (0_u64..40_000, trouble).prop_map(|(at, trouble)| Fault { at, trouble });
    prop::collection::vec(fault, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Each step of the world checks that no two lead.
    #[test]
    fn never_two_lead_and_when_it_is_calm_again_one_does(seed in any::<u64>(), faults in faults()) {
        let mut world = World::new(seed, OnApiLoss::Release);
        world.rough = true;
        world.plan(&faults);
        world.run_until(50_000);
        world.rough = false;
        world.run_until(60_000);
        let leaders = world.leaders();
        prop_assert!(leaders.iter().all(Option::is_some), "{leaders:?}");
        let (changes, others) = (world.server.transitions(), world.server.writes_but_renewals);
        world.run_until(90_000);
        prop_assert_eq!(world.leaders(), leaders);
        prop_assert_eq!(world.server.transitions(), changes, "nothing moves without need");
        prop_assert_eq!(world.server.writes_but_renewals, others);
        // At most one for each three quarters of the interval.
        let leases = LEASES + GATEWAYS;
        prop_assert!(world.server.writes_within(30_000) <= leases * (30_000 / 750 + 1));
    }

    #[test]
    fn a_leader_that_dies_is_replaced_when_its_lease_ends(seed in any::<u64>(), at in 10_000_u64..13_000) {
        let mut world = World::new(seed, OnApiLoss::Release);
        world.run_until(at);
        let before = world.leaders();
        let dead = before[0].unwrap();
        world.plan(&[Fault { at, trouble: Trouble::Death(dead, 60_000) }]);
        world.run_until(at + DURATION + 300);
        for (lease, (before, after)) in before.iter().zip(world.leaders()).enumerate() {
            if *before == Some(dead) {
                prop_assert!(after.is_some_and(|after| after != dead), "lease {lease}");
            } else {
                prop_assert_eq!(*before, after, "lease {} need not move", lease);
            }
        }
    }

    #[test]
    fn a_leader_that_stops_is_replaced_at_once(seed in any::<u64>(), at in 10_000_u64..13_000) {
        let mut world = World::new(seed, OnApiLoss::Release);
        world.run_until(at);
        let before = world.leaders();
        let stops = before[0].unwrap();
        world.plan(&[Fault { at, trouble: Trouble::Stall(stops, 5_000) }]);
        // One request that may be on its way, the release, its news, and the taking: less than a retry.
        world.run_until(at + RETRY - 1);
        for (before, after) in before.iter().zip(world.leaders()) {
            prop_assert!(after.is_some_and(|after| after != stops));
            prop_assert!(*before == Some(stops) || *before == after);
        }
    }

    #[test]
    fn who_holds_on_leads_while_the_server_is_gone_and_nothing_moves_when_it_is_back(seed in any::<u64>()) {
        let mut world = World::new(seed, OnApiLoss::Hold);
        world.run_until(10_000);
        let before = world.leaders();
        prop_assert!(before.iter().all(Option::is_some));
        world.plan(&[Fault { at: 10_000, trouble: Trouble::ServerGone(60_000) }]);
        for second in 11..80 {
            world.run_until(second * 1_000);
            prop_assert_eq!(&world.leaders(), &before, "second {}", second);
        }
    }

    #[test]
    fn who_does_not_hold_on_is_silent_when_the_lease_ends_and_comes_back(seed in any::<u64>()) {
        let mut world = World::new(seed, OnApiLoss::Release);
        world.run_until(10_000);
        let before = world.leaders();
        world.plan(&[Fault { at: 10_000, trouble: Trouble::ServerGone(60_000) }]);
        world.run_until(10_000 + DURATION);
        prop_assert_eq!(world.leaders(), vec![None; LEASES]);
        world.run_until(70_000 + DURATION);
        prop_assert_eq!(world.leaders(), before);
    }
}

#[test]
fn gateways_that_start_together_share_the_leases_as_the_hash_says() {
    for seed in 0..20 {
        let mut world = World::new(seed, OnApiLoss::Release);
        world.run_until(2_000);
        assert_eq!(world.leaders(), world.preferred(), "seed {seed}");
    }
}
