use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use siphasher::sip::SipHasher13;

use super::half_open::Ends;
use super::ports::PortSpace;
use crate::addr::{Addr, L4Port, Proto};
use crate::tables::{BackendId, SnatId};

/// Place of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairRef(pub(super) u32);

/// Our address and a backend: the space in which SNAT ports are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairKey {
    /// Our address.
    pub snat: SnatId,
    /// Address of the backend.
    pub addr: Addr,
    /// Port of the backend, host order.
    pub port: L4Port,
    /// TCP or UDP.
    pub proto: Proto,
}

impl PairKey {
    /// In place of our address where the client's is kept. Ids are given out from 0 on, so this
    /// one, with the last index and generation, is nobody's.
    pub const NO_SOURCE: SnatId = SnatId::new(u32::MAX, u32::MAX);
}

/// A pair with its ports and half-open flows.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What it stands for.
    pub key: PairKey,
    /// The backend as the tables know it. A backend that comes back under a new id is the same
    /// backend to its flows, since it has the same address and port.
    pub backend: BackendId,
    pub(super) ports: PortSpace,
    pub(super) half_open: Ends,
    /// Flows that take no port of ours.
    pub(super) portless: u32,
}

impl Pair {
    fn is_idle(&self) -> bool {
        self.ports.in_use() == 0 && self.portless == 0
    }
}

/// All pairs of one worker.
#[derive(Debug)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    by_key: HashMap<PairKey, u32, BuildHasherDefault<SipHasher13>>,
}

impl Pairs {
    pub(super) fn new(max: usize) -> Self {
        let by_key = HashMap::with_capacity_and_hasher(max, BuildHasherDefault::default());
        Self { pairs: Vec::with_capacity(max), by_key }
    }

    pub(super) fn bytes_for(max: usize) -> usize {
        max * (size_of::<Pair>() + (size_of::<PairKey>() + size_of::<u32>()) * 8 / 7)
    }

    pub(super) fn get(&self, pair: PairRef) -> &Pair {
        &self.pairs[pair.0 as usize]
    }

    pub(super) fn get_mut(&mut self, pair: PairRef) -> &mut Pair {
        &mut self.pairs[pair.0 as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The pair with this key, made when it is new. When all places are taken, one of a pair
    /// without flows is given `retire`d first; `None` when every pair has flows.
    pub(super) fn open(
        &mut self,
        key: PairKey,
        backend: BackendId,
        retire: impl FnOnce(&mut Pair),
    ) -> Option<PairRef> {
        if let Some(place) = self.by_key.get(&key) {
            self.pairs[*place as usize].backend = backend;
            return Some(PairRef(*place));
        }
        let place = if self.pairs.len() < self.pairs.capacity() {
            self.pairs.push(Self::fresh(key, backend, self.pairs.len() as u32));
            self.pairs.len() - 1
        } else {
            let idle = self.pairs.iter().position(Pair::is_idle)?;
            retire(&mut self.pairs[idle]);
            self.by_key.remove(&self.pairs[idle].key);
            self.pairs[idle] = Self::fresh(key, backend, idle as u32);
            idle
        };
        self.by_key.insert(key, place as u32);
        Some(PairRef(place as u32))
    }

    fn fresh(key: PairKey, backend: BackendId, place: u32) -> Pair {
        let (ports, half_open) = (PortSpace::new(place), Ends::default());
        Pair { key, backend, ports, half_open, portless: 0 }
    }
}
