//! Maglev tables against Cilium's own, and for what they are there for: even shares, and little
//! disruption when backends come and go.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portreeve_dataplane::addr::Addr;
use portreeve_dataplane::tables::BackendId;
use portreeve_dataplane::tables::flow_hash::HashSeeds;
use portreeve_dataplane::tables::maglev::{Maglev, Member, MemberProto, TABLE_SIZES, auto_size};
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vector {
    table_size: u32,
    seed: String,
    backends: Vec<VectorBackend>,
    first_64_slots: Vec<u16>,
    slots_per_backend: Vec<usize>,
    sha256_of_table_as_u16_le: String,
    table: Option<Vec<u16>>,
}

#[derive(Deserialize)]
struct VectorBackend {
    address: IpAddr,
    port: u16,
    protocol: String,
    weight: u16,
}

impl Vector {
    fn seeds(&self) -> HashSeeds {
        HashSeeds::from_bytes(BASE64_STANDARD.decode(&self.seed).unwrap().try_into().unwrap())
    }

    /// Its backends, each with its index in the file as id.
    fn members(&self) -> Vec<Member> {
        let proto = |name: &str| match name {
            "TCP" => MemberProto::Tcp,
            "UDP" => MemberProto::Udp,
            "SCTP" => MemberProto::Sctp,
            "ANY" => MemberProto::Any,
            other => panic!("unknown protocol {other}"),
        };
        (0..)
            .zip(&self.backends)
            .map(|(index, backend)| Member {
                id: BackendId::new(index, 0),
                addr: Addr::from(backend.address),
                port: backend.port,
                proto: proto(&backend.protocol),
                weight: backend.weight,
            })
            .collect()
    }

    fn check(&self) {
        let table = backend_of_each_slot(&build(&self.seeds(), self.table_size, &self.members()));
        assert_eq!(table[..64], self.first_64_slots);
        assert_eq!(slots_of_each(&table, self.backends.len()), self.slots_per_backend);
        let bytes: Vec<_> = table.iter().flat_map(|backend| backend.to_le_bytes()).collect();
        let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sha256, self.sha256_of_table_as_u16_le);
        if let Some(whole) = &self.table {
            assert_eq!(&table, whole);
        }
    }
}

fn build(seeds: &HashSeeds, size: u32, members: &[Member]) -> Maglev {
    Maglev::build(seeds, size, members).unwrap()
}

/// The index part of the id of each slot's backend.
fn backend_of_each_slot(maglev: &Maglev) -> Vec<u16> {
    let indexes: Vec<_> = maglev.backends().iter().map(|id| id.index() as u16).collect();
    maglev.slots().iter().map(|slot| indexes[usize::from(*slot)]).collect()
}

fn slots_of_each(table: &[u16], backends: usize) -> Vec<usize> {
    let mut counts = vec![0; backends];
    table.iter().for_each(|backend| counts[usize::from(*backend)] += 1);
    counts
}

/// `count` backends of equal weight in a place of 2^16 addresses.
fn equal_members(place: u8, count: usize) -> Vec<Member> {
    (0..count)
        .map(|index| {
            let [high, low] = (index as u16).to_be_bytes();
            Member {
                id: BackendId::new(index as u32, 0),
                addr: Addr::v4([10, place, high, low]),
                port: 80,
                proto: MemberProto::Tcp,
                weight: 100,
            }
        })
        .collect()
}

#[test]
fn builds_the_tables_that_cilium_builds() {
    let lines: Vec<_> = include_str!("data/maglev.jsonl").lines().collect();
    assert_eq!(lines.len(), 60);
    for line in lines {
        serde_json::from_str::<Vector>(line).unwrap().check();
    }
}

#[test]
fn select_takes_the_slot_of_the_hash() {
    let maglev = build(&HashSeeds::default(), 251, &equal_members(1, 5));
    let table = backend_of_each_slot(&maglev);
    for hash in [0, 1, 250, 251, 252, 123_456_789, u32::MAX] {
        assert_eq!(maglev.select(hash).index(), usize::from(table[hash as usize % 251]));
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    let mut members = equal_members(2, 37);
    members[3].weight = 7;
    let sorted = build(&HashSeeds::default(), 509, &members);
    members.reverse();
    members.swap(4, 20);
    assert_eq!(build(&HashSeeds::default(), 509, &members), sorted);
}

#[test]
fn members_of_weight_0_are_left_out() {
    let seeds = HashSeeds::default();
    let mut members = equal_members(3, 10);
    members[4].weight = 0;
    let with = build(&seeds, 1021, &members);
    members.remove(4);
    assert_eq!(with, build(&seeds, 1021, &members));
}

#[test]
fn there_is_no_table_without_members_or_of_another_size() {
    let seeds = HashSeeds::default();
    let members = equal_members(4, 3);
    let idle = [Member { weight: 0, ..members[0] }];
    assert_eq!(Maglev::build(&seeds, 251, &[]), None);
    assert_eq!(Maglev::build(&seeds, 251, &idle), None);
    for size in [0, 1, 2, 250, 252, 1024, u32::MAX] {
        assert_eq!(Maglev::build(&seeds, size, &members), None, "{size}");
    }
    for size in TABLE_SIZES {
        assert_eq!(build(&seeds, size, &members).slots().len(), size as usize);
    }
}

#[test]
fn auto_size_grows_in_few_steps_of_ciliums_sizes() {
    let sizes: Vec<_> = (0..=70_000).map(auto_size).collect();
    assert!(sizes.is_sorted());
    let mut steps = sizes.clone();
    steps.dedup();
    assert!(steps.len() <= 5, "{steps:?}");
    assert!(steps.iter().all(|size| TABLE_SIZES.contains(size)));
    assert_eq!(auto_size(usize::MAX), 131_071);
}

#[test]
fn auto_size_has_100_slots_for_each_backend_as_long_as_that_can_be() {
    for backends in 1..=1310 {
        assert!(auto_size(backends) as usize >= 100 * backends, "{backends}");
    }
    assert_eq!(
        [1, 10, 11, 40, 41, 163, 164, 655, 656].map(auto_size),
        [1021, 1021, 4093, 4093, 16_381, 16_381, 65_521, 65_521, 131_071]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_backends_get_equal_shares(place: u8, count in 1..200_usize) {
        let size = auto_size(count);
        let table = backend_of_each_slot(&build(&HashSeeds::default(), size, &equal_members(place, count)));
        let fair = size as usize / count;
        for slots in slots_of_each(&table, count) {
            prop_assert!((fair..=fair + 1).contains(&slots), "{slots} of {fair}");
        }
    }

    #[test]
    fn shares_follow_the_weights(place: u8, weights in prop::collection::vec(1..=500_u16, 2..100)) {
        let mut members = equal_members(place, weights.len());
        members.iter_mut().zip(&weights).for_each(|(member, weight)| member.weight = *weight);
        let size = 65_521;
        let table = backend_of_each_slot(&build(&HashSeeds::default(), size, &members));
        let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        for (slots, weight) in slots_of_each(&table, weights.len()).into_iter().zip(weights) {
            let fair = f64::from(size) * f64::from(weight) / sum;
            prop_assert!((slots as f64 - fair).abs() <= 2.0 + fair * 0.02, "{slots} of {fair}");
        }
    }

    #[test]
    fn a_removed_backend_takes_few_slots_of_others_with_it(place: u8, count in 2..200_usize, gone: prop::sample::Index) {
        let seeds = HashSeeds::default();
        let size = auto_size(count);
        let mut members = equal_members(place, count);
        let before = backend_of_each_slot(&build(&seeds, size, &members));
        let gone = gone.index(count);
        members.remove(gone);
        let after = backend_of_each_slot(&build(&seeds, size, &members));
        let others = before.iter().filter(|b| usize::from(**b) != gone).count();
        let moved = before.iter().zip(&after).filter(|(b, a)| usize::from(**b) != gone && a != b).count();
        prop_assert!(moved * 100 <= others * 5, "{moved} of {others}");
    }
}
