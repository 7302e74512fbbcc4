use std::hash::{BuildHasher, RandomState};

use super::pair::PairKey;
use super::ports::Range;
use super::sip::{self, SipKey};
use crate::addr::{Addr, Family, L4Port, Proto};
use crate::tables::frontend::Mode;
use crate::tables::{BackendId, FrontendId, NatEnd, SnatId};

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

/// A flow in mode `nat` as packets from the backend name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatKey {
    /// The backend.
    pub backend: NatEnd,
    /// Address of the client.
    pub client: Addr,
    /// Port of the client, host order.
    pub client_port: L4Port,
}

/// What a flow that keeps the client's address is made from.
#[derive(Debug, Clone, Copy)]
pub struct NewDirect {
    /// How the client names it.
    pub key: ForwardKey,
    /// [`Mode::Nat`] or [`Mode::DsrL2`].
    pub mode: Mode,
    /// The backend.
    pub backend: BackendId,
    /// Its address, port and protocol; in mode `dsr-l2` the port is the service's.
    pub end: NatEnd,
    /// It begins here, and not in the middle: a datagram, or a SYN.
    pub opens: bool,
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

/// What a key comes to under the table's secret; worked out once for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowHash(pub(super) u64);

/// SipHash-1-3 with random keys: an outsider cannot aim at a bucket. IPv4 keys are shorter, and so
/// can never be those of IPv6.
#[derive(Debug)]
pub(super) struct HashKeys(SipKey);

impl HashKeys {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(SipKey(random.hash_one(0_u8), random.hash_one(1_u8)))
    }

    #[inline(always)]
    pub(super) fn forward(&self, key: &ForwardKey) -> FlowHash {
        let frontend = u64::from(key.frontend.to_bits());
        let port = u64::from(key.client_port);
        let [high, low] = key.client.words();
        FlowHash(match key.client.family() {
            Family::V4 => sip::hash::<1, 2>(self.0, [key.client.v4_bits() << 32 | frontend], port),
            Family::V6 => sip::hash::<2, 6>(self.0, [high, low], frontend << 16 | port),
        })
    }

    #[inline]
    pub(super) fn nat(&self, key: &NatKey) -> FlowHash {
        let NatEnd { addr, port, proto } = key.backend;
        let ports = u64::from(key.client_port) << 16 | u64::from(port);
        let rest = (proto as u64) << 32 | ports;
        let ([a, b], [c, d]) = (addr.words(), key.client.words());
        // One byte longer than the keys of the other modes in the same index.
        FlowHash(match addr.family() {
            Family::V4 => {
                let both = addr.v4_bits() << 32 | key.client.v4_bits();
                sip::hash::<1, 6>(self.0, [both], rest)
            }
            Family::V6 => sip::hash::<4, 6>(self.0, [a, b, c, d], rest),
        })
    }

    #[inline(always)]
    pub(super) fn reverse(&self, key: &ReverseKey) -> FlowHash {
        let PairKey { snat, addr, port, proto } = key.pair;
        let snat = u64::from(snat.to_bits());
        let ports = u64::from(key.snat_port) << 16 | u64::from(port);
        let rest = (proto as u64) << 32 | ports;
        let [high, low] = addr.words();
        FlowHash(match addr.family() {
            Family::V4 => sip::hash::<1, 5>(self.0, [addr.v4_bits() << 32 | snat], rest),
            Family::V6 => sip::hash::<3, 5>(self.0, [high, low, snat], rest),
        })
    }
}
