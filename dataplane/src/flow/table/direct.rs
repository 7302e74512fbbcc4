use super::super::entry::{Flow, FlowRef, NO_NODE};
use super::super::key::{FlowHash, NatKey, NewDirect};
use super::super::pair::PairKey;
use super::super::state::State;
use super::FlowTable;
use crate::addr::Proto;
use crate::tables::frontend::Mode;
use crate::tables::{HopId, NatEnd};
use crate::time::Tick;

/// How the backend of a flow in mode `nat` names it.
#[inline]
pub(super) fn nat_key(flow: &Flow, pair: &PairKey) -> NatKey {
    let PairKey { addr, port, proto, .. } = *pair;
    let backend = NatEnd { addr, port, proto };
    NatKey { backend, client: flow.client, client_port: flow.client_port }
}

impl FlowTable {
    /// As [`Self::prefetch_reverse`], for a backend in mode `nat`.
    #[inline]
    #[must_use]
    pub fn prefetch_nat(&self, key: &NatKey) -> FlowHash {
        let hash = self.keys.nat(key);
        self.reverse.prefetch(hash.0);
        hash
    }

    /// The flow of a packet from a backend in mode `nat`.
    #[inline]
    #[must_use]
    pub fn find_nat(&self, key: &NatKey, hash: FlowHash) -> Option<FlowRef> {
        let is_it = |place: u32| {
            let flow = &self.flows[place as usize];
            flow.mode == Mode::Nat && nat_key(flow, &self.pairs.get(flow.pair).key) == *key
        };
        self.reverse.find(hash.0, is_it).map(FlowRef)
    }

    /// Makes a flow that keeps the client's address; its forward key has this hash. Such a flow is a convenience: it holds the
    /// connection at its backend when the others change, and the packet goes on without it.
    /// `None` when there is no room.
    pub fn insert_direct(&mut self, new: &NewDirect, hash: FlowHash, now: Tick) -> Option<FlowRef> {
        let proto = new.end.proto;
        let state = match (proto, new.mode, new.opens) {
            (Proto::Udp, ..) => State::UdpUnreplied,
            (Proto::Tcp, Mode::DsrL2, true) => State::OneWaySyn,
            (Proto::Tcp, Mode::DsrL2, false) => State::OneWay,
            (Proto::Tcp, _, true) => State::SynSent,
            (Proto::Tcp, _, false) => State::Resumed,
        };
        self.make_room(state, now).ok()?;
        let NatEnd { addr, port, proto } = new.end;
        let key = PairKey { snat: PairKey::NO_SOURCE, addr, port, proto };
        let pair = self.open_pair(key, new.backend).ok()?;
        let flow = Flow {
            client: new.key.client,
            client_port: new.key.client_port,
            snat_port: 0,
            frontend: new.key.frontend,
            pair,
            seen: now,
            hop: HopId::new(0, 0),
            hop_generation: 0,
            hop_mtu: 0,
            half_open: NO_NODE,
            state,
            proto,
            mode: new.mode,
            live: true,
        };
        let place = self.place(flow, hash)?;
        self.pairs.get_mut(pair).portless += 1;
        Some(place)
    }
}
