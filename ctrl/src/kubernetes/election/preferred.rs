use std::collections::BTreeSet;

use super::Seat;
use super::record::SUCCESSOR;
use super::watched::Watched;

/// The gateway that takes a free lease first: each lease has an order of its own of all gateways
/// (rendezvous hashing), so that leases are spread, and when one gateway goes only its own leases move.
/// All gateways of a group have to agree on it, whatever version they are.
#[must_use]
pub fn preferred<'c>(
    lease: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    candidates.into_iter().max_by_key(|gateway| (mixed(&[lease, gateway]), *gateway))
}

/// Whether a free lease is ours before it is anybody else's.
pub fn is_first(seat: &Seat, watched: &Watched, candidates: &BTreeSet<String>) -> bool {
    let me = seat.me.as_str();
    let annotations = watched.lease.as_ref().map(|lease| &lease.metadata.annotations);
    let named = annotations.and_then(|annotations| annotations.get(SUCCESSOR)).map(String::as_str);
    if let Some(named) = named.filter(|named| *named == me || candidates.contains(*named)) {
        return named == me;
    }
    // Whoever has let it run out is not alive, though his heartbeat may have some time left.
    let lapsed = watched.holder();
    let others = candidates.iter().map(String::as_str).filter(|other| Some(*other) != lapsed);
    preferred(&seat.lease, others) == Some(me)
}

/// Who shall have a lease that we give up.
pub fn successor<'c>(seat: &Seat, candidates: &'c BTreeSet<String>) -> Option<&'c str> {
    preferred(&seat.lease, candidates.iter().map(String::as_str).filter(|other| *other != seat.me))
}

/// FNV-1a over the texts, each with an end, then the finalizer of MurmurHash3, since the last letters
/// of a name alone would hardly move the first bits.
pub fn mixed(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const GATEWAYS: [&str; 4] = ["k8s-gw1", "k8s-gw2", "k8s-gw3", "k8s-gw4"];

    fn lease(n: usize) -> String {
        format!("cilium-l2announce-default-svc{n}")
    }

    #[test]
    fn every_version_prefers_the_same() {
        let found: Vec<_> = (1..=6).map(|n| preferred(&lease(n), GATEWAYS).unwrap()).collect();
        assert_eq!(found, GOLDEN);
        assert_eq!(mixed(&["a", "b"]), GOLDEN_HASH);
        assert_eq!(preferred("x", []), None);
    }

    /// Worked out by another program.
    const GOLDEN: [&str; 6] = ["k8s-gw3", "k8s-gw2", "k8s-gw1", "k8s-gw3", "k8s-gw2", "k8s-gw4"];
    const GOLDEN_HASH: u64 = 0x9ee0_55ea_1a8e_c313;

    #[test]
    fn leases_are_spread_and_only_those_of_who_goes_move() {
        let mut counts = BTreeMap::new();
        for n in 0..4_000 {
            let before = preferred(&lease(n), GATEWAYS).unwrap();
            *counts.entry(before).or_insert(0) += 1;
            let left = GATEWAYS.into_iter().filter(|gateway| *gateway != "k8s-gw2");
            let after = preferred(&lease(n), left).unwrap();
            assert!(before == after || before == "k8s-gw2");
        }
        assert!(counts.values().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
