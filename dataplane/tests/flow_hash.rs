//! The flow hash against values computed with Cilium's own header.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portreeve_dataplane::addr::{Addr, Proto};
use portreeve_dataplane::tables::flow_hash::{HashSeeds, flow_hash};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    seed: String,
    source: IpAddr,
    source_port: u16,
    service_port: u16,
    protocol: u8,
    hash: u32,
    slot_of_16381: u32,
}

fn vectors() -> Vec<Vector> {
    include_str!("data/flow-hash.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn seeds(text: &str) -> HashSeeds {
    HashSeeds::from_bytes(BASE64_STANDARD.decode(text).unwrap().try_into().unwrap())
}

fn proto(number: u8) -> Proto {
    [Proto::Tcp, Proto::Udp].into_iter().find(|p| *p as u8 == number).unwrap()
}

#[test]
fn hashes_as_cilium_does() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 120);
    for v in vectors {
        let client = Addr::from(v.source);
        let hash =
            flow_hash(&seeds(&v.seed), client, v.source_port, v.service_port, proto(v.protocol));
        assert_eq!(hash, v.hash, "{client} port {} to {}", v.source_port, v.service_port);
        assert_eq!(hash % 16_381, v.slot_of_16381);
    }
}

#[test]
fn the_default_seed_is_ciliums() {
    assert_eq!(HashSeeds::default(), seeds("JLfvgnHc2kaSUFaI"));
}
