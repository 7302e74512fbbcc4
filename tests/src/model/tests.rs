//! The model against what Cilium itself computed; see `tests/data`.

use serde_json::Value;

use super::*;

fn rows(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// A seed as Cilium keeps it, base64 of twelve bytes.
fn seeds(text: &str) -> [u32; 3] {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte: &u8| ALPHABET.iter().position(|letter| letter == byte).unwrap() as u128;
    let bits = text.as_bytes().iter().fold(0_u128, |bits, byte| bits << 6 | value(byte));
    [(bits >> 64) as u32, (bits >> 32) as u32, bits as u32]
}

/// Tables of Cilium v1.20.2's own `pkg/maglev`, weights and all protocols included.
#[test]
fn fills_tables_as_cilium_does() {
    let mut checked = 0;
    for row in rows(include_str!("../../data/maglev.jsonl")) {
        let backends = row["backends"].as_array().unwrap();
        let name_of = |backend: &Value| {
            let port = backend["port"].as_u64().unwrap() as u16;
            let target =
                SocketAddr::new(backend["address"].as_str().unwrap().parse().unwrap(), port);
            format!("[{target}/{},State:active]", backend["protocol"].as_str().unwrap())
        };
        let mut members: Vec<_> = backends
            .iter()
            .enumerate()
            .map(|(at, backend)| (name_of(backend), backend["weight"].as_u64().unwrap(), at))
            .collect();
        members.sort();
        let named: Vec<_> = members.iter().map(|m| (m.0.clone(), m.1)).collect();
        let seed = seeds(row["seed"].as_str().unwrap())[0];
        let slots = table(seed, row["table_size"].as_u64().unwrap(), &named);
        let given: Vec<_> = slots.iter().map(|slot| members[*slot].2 as u64).collect();
        assert_eq!(Value::from(&given[..64]), row["first_64_slots"]);
        for (at, count) in row["slots_per_backend"].as_array().unwrap().iter().enumerate() {
            let ours = given.iter().filter(|slot| **slot == at as u64).count();
            assert_eq!(ours as u64, count.as_u64().unwrap(), "{row}");
        }
        checked += 1;
    }
    assert_eq!(checked, 16);
}

/// Hashes from Cilium v1.20.2's own header.
#[test]
fn hashes_flows_as_cilium_does() {
    let mut checked = 0;
    for row in rows(include_str!("../../data/flow-hash.jsonl")) {
        let number = |key: &str| row[key].as_u64().unwrap();
        let source = row["source"].as_str().unwrap().parse().unwrap();
        let client = SocketAddr::new(source, number("source_port") as u16);
        let protocol = match number("protocol") {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            _ => continue,
        };
        let seeds = seeds(row["seed"].as_str().unwrap());
        let hash = flow_hash(&seeds, client, number("service_port") as u16, protocol);
        assert_eq!(u64::from(hash), number("hash"), "{row}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn the_default_seeds_are_the_decoded_default() {
    assert_eq!(DEFAULT_SEEDS, seeds("JLfvgnHc2kaSUFaI"));
}
