//! The slow twin of `fill` and `turns`: Cilium's rules word for word, with nothing clever.

use proptest::collection::vec;
use proptest::prelude::*;

use super::permutation::Permutation;
use super::{fill, turns};

fn fill_plainly(size: usize, permutations: &[Permutation], weights: &[u16]) -> Vec<u16> {
    let count = weights.len();
    let weights: Vec<_> = weights.iter().map(|weight| u64::from(*weight)).collect();
    let sum: u64 = weights.iter().sum();
    let weighted = sum / count as u64 > 1;
    let mut counters: Vec<_> = weights.iter().map(|w| *w as f64 / count as f64).collect();
    let mut permutations = permutations.to_vec();
    let mut table = vec![None; size];
    for n in 0..size {
        let mut i = n % count;
        if weighted {
            while (n as u64 + 1) * weights[i] < counters[i] as u64 {
                i = (i + 1) % count;
            }
            counters[i] += sum as f64;
        }
        let slot = std::iter::repeat_with(|| permutations[i].advance())
            .find(|slot| table[*slot].is_none())
            .unwrap();
        table[slot] = Some(i as u16);
    }
    table.into_iter().map(Option::unwrap).collect()
}

fn agrees(size: u32, weights: &[u16]) {
    let permutations: Vec<_> =
        (0..weights.len()).map(|i| Permutation::new(7, size, &i.to_string())).collect();
    let expected = fill_plainly(size as usize, &permutations, weights);
    let weighted = fill::by_weight(size, permutations.clone(), weights);
    if turns::weights_matter(weights) {
        assert_eq!(*weighted, expected[..]);
    } else {
        assert_eq!(*fill::in_rounds(size, permutations), expected[..]);
    }
}

fn weights() -> impl Strategy<Value = Vec<u16>> {
    prop_oneof![
        vec(1..=4_u16, 1..200),
        vec(1..=300_u16, 1..200),
        vec(prop_oneof![Just(1_u16), Just(u16::MAX)], 1..200),
        vec(1..=u16::MAX, 1..200),
        (1..=u16::MAX, 1..200_usize).prop_map(|(weight, count)| vec![weight; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fills_as_the_plain_model_does(weights in weights(), size in prop::sample::select(&[251_u32, 509, 4093][..])) {
        agrees(size, &weights);
    }
}

#[test]
fn fills_large_tables_as_the_plain_model_does() {
    let mixed: Vec<_> = (0..300).map(|i| [1, 100, 7, 65_535][i % 4]).collect();
    for weights in [&mixed[..], &[1, 2], &[65_535, 1, 1], &[100; 64], &[100; 65]] {
        agrees(65_521, weights);
    }
}

#[test]
fn more_backends_than_slots_leave_some_without() {
    agrees(251, &[1; 300]);
    agrees(251, &[[3, 5]; 150].concat());
}
