//! Which backend a flow gets, worked out a second time from the facts about Cilium's Maglev and
//! flow hash, and by design without a line of the data path's own code: two mistakes would have
//! to agree. Slow and plain.

use std::net::{IpAddr, SocketAddr};

/// `JLfvgnHc2kaSUFaI`, Cilium's default, decoded from base64: seeds of MurmurHash3, of the IPv4
/// flow hash and of the IPv6 flow hash.
pub const DEFAULT_SEEDS: [u32; 3] = [0x24b7_ef82, 0x71dc_da46, 0x9250_5688];

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP, number 6.
    Tcp,
    /// UDP, number 17.
    Udp,
}

/// One backend of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Address and port that packets end up at.
    pub target: SocketAddr,
    /// Share of new flows; 100 is the default.
    pub weight: u64,
}

/// A service as the model has it.
#[derive(Debug, Clone)]
pub struct Service {
    protocol: Protocol,
    port: u16,
    seeds: [u32; 3],
    backends: Vec<Backend>,
    table: Vec<usize>,
}

impl Service {
    /// The service on `port` with a table of `size` slots.
    #[must_use]
    pub fn new(protocol: Protocol, port: u16, size: u64, backends: &[Backend]) -> Self {
        let mut backends = backends.to_vec();
        backends.sort_by_key(|backend| name(backend.target, protocol).into_bytes());
        let seeds = DEFAULT_SEEDS;
        let members: Vec<_> =
            backends.iter().map(|b| (name(b.target, protocol), b.weight)).collect();
        let table = table(seeds[0], size, &members);
        Self { protocol, port, seeds, backends, table }
    }

    /// Where a connection from `client` goes.
    #[must_use]
    pub fn backend_of(&self, client: SocketAddr) -> SocketAddr {
        let hash = flow_hash(&self.seeds, client, self.port, self.protocol);
        let slot = hash as usize % self.table.len();
        self.backends[self.table[slot]].target
    }
}

fn number(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// The text that is hashed for a backend; the standard library prints IPv6 in brackets.
fn name(target: SocketAddr, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    format!("[{target}/{protocol},State:active]")
}

/// The member of every slot, for members (name, weight) sorted by name.
fn table(seed: u32, size: u64, members: &[(String, u64)]) -> Vec<usize> {
    let count = members.len();
    let orders: Vec<(u64, u64)> = members
        .iter()
        .map(|(name, _)| {
            let (first, second) = murmur3(name.as_bytes(), seed);
            (first % size, second % (size - 1) + 1)
        })
        .collect();
    let total: u64 = members.iter().map(|(_, weight)| weight).sum();
    let weighted = total / count as u64 > 1;
    let mut turns: Vec<f64> =
        members.iter().map(|(_, weight)| *weight as f64 / count as f64).collect();
    let mut tried = vec![0_u64; count];
    let mut slots = vec![None; size as usize];
    for turn in 0..size {
        let mut at = turn as usize % count;
        if weighted {
            while (turn + 1) * members[at].1 < turns[at] as u64 {
                at = (at + 1) % count;
            }
            turns[at] += total as f64;
        }
        let (offset, skip) = orders[at];
        loop {
            let slot = ((offset + tried[at] * skip) % size) as usize;
            tried[at] += 1;
            if slots[slot].is_none() {
                slots[slot] = Some(at);
                break;
            }
        }
    }
    slots.into_iter().flatten().collect()
}

/// MurmurHash3, x64, 128 bit.
fn murmur3(data: &[u8], seed: u32) -> (u64, u64) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let scramble1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let scramble2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word =
        |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let (mut h1, mut h2) = (u64::from(seed), u64::from(seed));
    let (blocks, tail) = data.split_at(data.len() / 16 * 16);
    for block in blocks.chunks_exact(16) {
        h1 ^= scramble1(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble2(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= scramble2(word(high));
    h1 ^= scramble1(word(low));
    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    (h1, h2.wrapping_add(h1))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

/// Cilium's hash of a flow: Linux's jhash of the client address, both ports and the protocol.
fn flow_hash(seeds: &[u32; 3], client: SocketAddr, port: u16, protocol: Protocol) -> u32 {
    // Words of a packet, read as a little-endian machine reads them.
    let ports = u32::from(port.swap_bytes()) << 16 | u32::from(client.port().swap_bytes());
    let protocol = number(protocol);
    match client.ip() {
        IpAddr::V4(v4) => {
            let initial = seeds[1].wrapping_add(0xdead_beef).wrapping_add(12);
            let address = u32::from_le_bytes(v4.octets());
            let words = [address, ports, protocol];
            last(words.map(|word| word.wrapping_add(initial)))
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let word = |at: usize| {
                u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
            };
            let [a, b, c] = mix([word(0), word(4), word(8)]);
            let words = [a.wrapping_add(word(12)), b.wrapping_add(ports), c.wrapping_add(protocol)];
            let [a, b, c] = mix(words);
            last([a.wrapping_add(seeds[2]), b, c])
        }
    }
}

/// `__jhash_mix`
fn mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    let step = |x: &mut u32, y: &mut u32, z: u32, turn: u32| {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(turn);
        *y = y.wrapping_add(z);
    };
    step(&mut a, &mut c, b, 4);
    step(&mut b, &mut a, c, 6);
    step(&mut c, &mut b, a, 8);
    step(&mut a, &mut c, b, 16);
    step(&mut b, &mut a, c, 19);
    step(&mut c, &mut b, a, 4);
    [a, b, c]
}

/// `__jhash_final`
fn last([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    let step = |x: &mut u32, y: u32, turn: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(turn));
    step(&mut c, b, 14);
    step(&mut a, c, 11);
    step(&mut b, a, 25);
    step(&mut c, b, 16);
    step(&mut a, c, 4);
    step(&mut b, a, 14);
    step(&mut c, b, 24);
    c
}

#[cfg(test)]
mod tests;
