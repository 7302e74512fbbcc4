use std::hash::{BuildHasher, RandomState};

use siphasher::sip::SipHasher13;

use super::pair::PairKey;
use super::ports::Range;
use crate::addr::{Addr, L4Port, Proto};
use crate::tables::{BackendId, FrontendId, SnatId};

/// A flow as packets from the client name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardKey {
    /// What the client talks to.
    pub frontend: FrontendId,
    /// Address of the client.
    pub client: Addr,
    /// Port of the client, host order.
    pub client_port: L4Port,
}

/// A flow as packets from the backend name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReverseKey {
    /// Our address and the backend.
    pub pair: PairKey,
    /// Our port, host order.
    pub snat_port: L4Port,
}

/// What a new flow is made from.
#[derive(Debug, Clone, Copy)]
pub struct NewFlow {
    /// How the client names it.
    pub key: ForwardKey,
    /// Our address towards the backend.
    pub snat: SnatId,
    /// Our ports that may be used.
    pub ports: Range,
    /// The backend.
    pub backend: BackendId,
    /// Its address.
    pub backend_addr: Addr,
    /// Its port, host order.
    pub backend_port: L4Port,
    /// TCP or UDP.
    pub proto: Proto,
}

/// SipHash-1-3 with random keys: an outsider cannot aim at a bucket.
#[derive(Debug)]
pub(super) struct HashKeys(u64, u64);

impl HashKeys {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0_u8), random.hash_one(1_u8))
    }

    #[inline]
    pub(super) fn forward(&self, key: &ForwardKey) -> u64 {
        let mut bytes = [0_u8; 22];
        bytes[..16].copy_from_slice(key.client.octets());
        bytes[16..20].copy_from_slice(&key.frontend.to_bits().to_ne_bytes());
        bytes[20..].copy_from_slice(&key.client_port.to_ne_bytes());
        self.hash(&bytes)
    }

    #[inline]
    pub(super) fn reverse(&self, key: &ReverseKey) -> u64 {
        let mut bytes = [0_u8; 25];
        bytes[..16].copy_from_slice(key.pair.addr.octets());
        bytes[16..20].copy_from_slice(&key.pair.snat.to_bits().to_ne_bytes());
        bytes[20..22].copy_from_slice(&key.pair.port.to_ne_bytes());
        bytes[22..24].copy_from_slice(&key.snat_port.to_ne_bytes());
        bytes[24] = key.pair.proto as u8;
        self.hash(&bytes)
    }

    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(bytes)
    }
}
