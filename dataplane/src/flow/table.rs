use super::config::FlowTableConfig;
use super::entry::{Flow, FlowRef, NO_NODE};
use super::first_syns::FirstSyns;
use super::half_open::HalfOpen;
use super::index::Index;
use super::key::{FlowHash, ForwardKey, HashKeys, NewFlow, ReverseKey};
use super::news::{Gone, News};
use super::pair::{Pair, PairKey, PairRef, Pairs};
use super::ports::Blocks;
use super::state::{Direction, State};
use crate::addr::Proto;
use crate::drop_reason::DropReason;
use crate::mem::{Fixed, prefetch};
use crate::tables::frontend::Mode;
use crate::tables::{BackendId, HopId, Timeouts};
use crate::time::Tick;
use crate::wire::tcp::Flags;

/// Flows that keep the client's address: modes `nat` and `dsr-l2`.
mod direct;
/// Who gives way when something is short.
mod room;

/// Connections of one worker.
#[derive(Debug)]
pub struct FlowTable {
    flows: Fixed<Flow>,
    free: Fixed<u32>,
    forward: Index,
    reverse: Index,
    pairs: Pairs,
    blocks: Blocks,
    half_open: HalfOpen,
    first_syns: FirstSyns,
    keys: HashKeys,
    sweep_at: usize,
    reclaim_at: usize,
    evicted: u64,
    news: News,
    max: usize,
}

impl FlowTable {
    /// An empty table; all its memory is allocated here. Hash keys are random.
    #[must_use]
    pub fn new(config: FlowTableConfig) -> Self {
        Self {
            flows: Fixed::with_capacity(config.flows),
            free: Fixed::with_capacity(config.flows),
            forward: Index::new(config.flows),
            reverse: Index::new(config.flows),
            pairs: Pairs::new(config.pairs),
            blocks: Blocks::new(config.blocks()),
            half_open: HalfOpen::new(config.half_open()),
            first_syns: FirstSyns::new(config.flows),
            keys: HashKeys::random(),
            sweep_at: 0,
            reclaim_at: 0,
            evicted: 0,
            news: News::default(),
            max: config.flows,
        }
    }

    /// Flows in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len() - self.free.len()
    }

    /// Whether there are no flows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of those, half-open ones.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open.count()
    }

    /// Half-open flows that gave way to newer ones, ever.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether the packet at hand began a TCP flow from an address of ours, or made one give way.
    #[inline(always)]
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.news.any
    }

    /// The SYN with this sequence number began the flow of which there is news, if any.
    #[inline(always)]
    pub fn number(&mut self, seq: u32) {
        self.half_open.number(self.news.begun(), seq.wrapping_add(1));
    }

    /// Whether there are connections that gave way.
    #[inline(always)]
    #[must_use]
    pub fn has_gone(&self) -> bool {
        self.news.has_gone()
    }

    /// One of the connections that gave way, until all were told of.
    pub fn next_gone(&mut self) -> Option<Gone> {
        self.news.next_gone()
    }

    /// Places that have ever held a flow: what a sweep has to look at.
    #[must_use]
    pub fn places(&self) -> usize {
        self.flows.len()
    }

    /// Flows that the table can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.max
    }

    /// The hash of a key, whose bucket is asked for.
    #[inline]
    #[must_use]
    pub fn prefetch_forward(&self, key: &ForwardKey) -> FlowHash {
        let hash = self.keys.forward(key);
        self.forward.prefetch(hash.0);
        hash
    }

    /// As [`Self::prefetch_forward`], for a packet from a backend.
    #[inline(always)]
    #[must_use]
    pub fn prefetch_reverse(&self, key: &ReverseKey) -> FlowHash {
        let hash = self.keys.reverse(key);
        self.reverse.prefetch(hash.0);
        hash
    }

    /// Asks for the flow that a bucket, there by now, most likely leads to.
    #[inline]
    pub fn prefetch_flow(&self, direction: Direction, hash: FlowHash) {
        let index = match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        };
        if let Some(flow) = index.guess(hash.0).and_then(|place| self.flows.get(place as usize)) {
            prefetch(flow);
        }
    }

    /// The flow of a packet from a client.
    #[inline(always)]
    #[must_use]
    pub fn find_forward(&self, key: &ForwardKey, hash: FlowHash) -> Option<FlowRef> {
        let is_it = |place: u32| {
            let flow = &self.flows[place as usize];
            flow.client == key.client
                && flow.client_port == key.client_port
                && flow.frontend == key.frontend
        };
        self.forward.find(hash.0, is_it).map(FlowRef)
    }

    /// The flow of a packet from a backend.
    #[inline(always)]
    #[must_use]
    pub fn find_reverse(&self, key: &ReverseKey, hash: FlowHash) -> Option<FlowRef> {
        let is_it = |place: u32| {
            let flow = &self.flows[place as usize];
            flow.snat_port == key.snat_port && self.pairs.get(flow.pair).key == key.pair
        };
        self.reverse.find(hash.0, is_it).map(FlowRef)
    }

    /// The flow at a place.
    #[inline]
    #[must_use]
    pub fn flow(&self, place: FlowRef) -> &Flow {
        &self.flows[place.0 as usize]
    }

    /// The pair of a flow.
    #[inline]
    #[must_use]
    pub fn pair(&self, pair: PairRef) -> &Pair {
        self.pairs.get(pair)
    }

    /// Remembers how the client of a flow is reached.
    #[inline]
    pub fn cache_hop(&mut self, place: FlowRef, hop: HopId, generation: u16, mtu: u16) {
        let flow = &mut self.flows[place.0 as usize];
        (flow.hop, flow.hop_generation, flow.hop_mtu) = (hop, generation, mtu);
    }

    /// A packet of the flow goes past: its time and state move on.
    #[inline]
    pub fn observe(&mut self, place: FlowRef, direction: Direction, flags: Flags, now: Tick) {
        let flow = &mut self.flows[place.0 as usize];
        flow.seen = now;
        let after = flow.state.after(direction, flags);
        if after == flow.state {
            return;
        }
        flow.state = after;
        // A handshake that was refused stays in the list: a flood of SYNs to a closed port must
        // not fill the table with flows that nothing may evict.
        if after.is_accepted() && flow.half_open != NO_NODE {
            let node = std::mem::replace(&mut flow.half_open, NO_NODE);
            let pair = self.pairs.get_mut(flow.pair);
            self.half_open.remove(&mut pair.half_open, node);
        }
    }

    /// Whether the SYN that begins a flow with this key does not count, since it came only once, and many
    /// others come.
    #[inline(always)]
    pub fn has_to_come_again(&mut self, key: &ForwardKey, hash: FlowHash, now: Tick) -> bool {
        self.first_syns.are_not_enough(key.frontend, now)
            && !self.first_syns.came_before(hash.0, now)
    }

    /// Makes a flow, whose forward key has this hash. Half-open ones give way, oldest first, when a
    /// quota is used up.
    ///
    /// # Errors
    /// [`DropReason::FlowTableFull`] or [`DropReason::PortsExhausted`]; nothing has changed then,
    /// but for half-open flows that gave way.
    pub fn insert(
        &mut self,
        new: &NewFlow,
        hash: FlowHash,
        now: Tick,
    ) -> Result<FlowRef, DropReason> {
        let state = match new.proto {
            Proto::Tcp => State::SynSent,
            Proto::Udp => State::UdpUnreplied,
        };
        self.make_room(state, now)?;
        let key = PairKey {
            snat: new.snat,
            addr: new.backend_addr,
            port: new.backend_port,
            proto: new.proto,
        };
        let pair = self.open_pair(key, new.backend)?;
        if state.is_half_open() {
            self.enforce_pair_quota(pair, new.ports, now);
        }
        let snat_port = match self.take_port(pair, new.ports, now) {
            Some(port) => port,
            None => self.take_from_half_open(pair, new.ports, now)?,
        };
        let flow = Flow {
            client: new.key.client,
            client_port: new.key.client_port,
            snat_port,
            frontend: new.key.frontend,
            pair,
            seen: now,
            hop: HopId::new(0, 0),
            hop_generation: 0,
            hop_mtu: 0,
            half_open: NO_NODE,
            state,
            proto: new.proto,
            mode: Mode::Snat,
            live: true,
        };
        let Some(place) = self.place(flow, hash) else {
            self.pairs.get_mut(pair).ports.give(&mut self.blocks, snat_port, None);
            return Err(DropReason::FlowTableFull);
        };
        if new.proto == Proto::Tcp {
            self.news.begin(self.flows[place.0 as usize].half_open);
        }
        Ok(place)
    }

    /// Ends a flow: its place and its port are free again.
    pub fn remove(&mut self, place: FlowRef) {
        let flow = self.flows[place.0 as usize];
        debug_assert!(flow.live, "a flow is removed once");
        let (forward, reverse) = (self.forward_hash(&flow), self.reverse_hash(&flow));
        self.forward.remove(forward, place.0);
        if let Some(reverse) = reverse {
            self.reverse.remove(reverse, place.0);
        }
        let pair = self.pairs.get_mut(flow.pair);
        if flow.half_open != NO_NODE {
            self.half_open.remove(&mut pair.half_open, flow.half_open);
        }
        let closed = (flow.state == State::Closed).then_some(flow.seen);
        match flow.mode {
            Mode::Snat => pair.ports.give(&mut self.blocks, flow.snat_port, closed),
            Mode::Nat | Mode::DsrL2 => pair.portless -= 1,
        }
        self.flows[place.0 as usize].live = false;
        self.free.push(place.0);
    }

    /// Looks at the next `steps` places and removes flows that were silent for too long.
    pub fn sweep(&mut self, timeouts: &Timeouts, now: Tick, steps: usize) {
        for _ in 0..steps.min(self.flows.len()) {
            if self.sweep_at >= self.flows.len() {
                self.sweep_at = 0;
            }
            let flow = &self.flows[self.sweep_at];
            if flow.live && now.since(flow.seen) > flow.state.timeout(timeouts) {
                self.remove(FlowRef(self.sweep_at as u32));
            }
            self.sweep_at += 1;
        }
    }

    /// Up to `max` flows from place `cursor` on, and the place to go on from; `None` at the end.
    pub fn list<'a>(
        &'a self,
        cursor: usize,
        max: usize,
    ) -> (impl Iterator<Item = &'a Flow> + 'a, Option<usize>) {
        let end = self.flows.len().min(cursor.saturating_add(max));
        let start = cursor.min(end);
        let next = (end < self.flows.len()).then_some(end);
        (self.flows[start..end].iter().filter(|flow| flow.live), next)
    }

    #[inline(always)]
    fn open_pair(&mut self, key: PairKey, backend: BackendId) -> Result<PairRef, DropReason> {
        let blocks = &mut self.blocks;
        self.pairs
            .open(key, backend, |idle| idle.ports.release(blocks))
            .ok_or(DropReason::PortsExhausted)
    }

    /// Puts a flow into its place and both indexes; `None` when an index has no room.
    #[inline(always)]
    fn place(&mut self, flow: Flow, FlowHash(forward): FlowHash) -> Option<FlowRef> {
        debug_assert_eq!(forward, self.forward_hash(&flow), "the hash is that of the flow's key");
        let reverse = self.reverse_hash(&flow);
        let half_open = flow.state.is_half_open();
        let pair = flow.pair;
        let place = match self.free.pop() {
            Some(place) => {
                self.flows[place as usize] = flow;
                place
            }
            None => {
                self.flows.push(flow);
                self.flows.len() as u32 - 1
            }
        };
        let indexed = self.forward.insert(forward, place);
        if !indexed || reverse.is_some_and(|reverse| !self.reverse.insert(reverse, place)) {
            if indexed {
                self.forward.remove(forward, place);
            }
            self.flows[place as usize].live = false;
            self.free.push(place);
            return None;
        }
        if half_open {
            let ends = &mut self.pairs.get_mut(pair).half_open;
            let node = self.half_open.push(ends, place).unwrap_or(NO_NODE);
            self.flows[place as usize].half_open = node;
        }
        Some(FlowRef(place))
    }

    fn forward_hash(&self, flow: &Flow) -> u64 {
        let key = ForwardKey {
            frontend: flow.frontend,
            client: flow.client,
            client_port: flow.client_port,
        };
        self.keys.forward(&key).0
    }

    /// A backend that answers past us never names its flow.
    fn reverse_hash(&self, flow: &Flow) -> Option<u64> {
        let pair = self.pairs.get(flow.pair).key;
        let hash = match flow.mode {
            Mode::Snat => self.keys.reverse(&ReverseKey { pair, snat_port: flow.snat_port }),
            Mode::Nat => self.keys.nat(&direct::nat_key(flow, &pair)),
            Mode::DsrL2 => return None,
        };
        Some(hash.0)
    }
}
