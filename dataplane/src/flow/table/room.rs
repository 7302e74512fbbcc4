use super::super::entry::FlowRef;
use super::super::news::Gone;
use super::super::pair::{Pair, PairRef};
use super::super::ports::Range;
use super::super::state::State;
use super::FlowTable;
use crate::addr::L4Port;
use crate::drop_reason::DropReason;
use crate::tables::frontend::Mode;
use crate::time::Tick;

/// Pairs whose blocks are taken back, at most, when the pool runs dry.
const RECLAIM_STEP: usize = 64;

impl FlowTable {
    /// The oldest half-open flow gives way when the table is full, or half of it half-open.
    pub(super) fn make_room(&mut self, state: State, now: Tick) -> Result<(), DropReason> {
        let full = self.len() >= self.max;
        if full || (state.is_half_open() && self.half_open.is_full()) {
            let oldest = self.half_open.oldest().ok_or(DropReason::FlowTableFull)?;
            self.evict(oldest, now);
        }
        Ok(())
    }

    fn evict(&mut self, place: u32, now: Tick) {
        self.evicted += 1;
        let flow = &self.flows[place as usize];
        let open = matches!(flow.state, State::SynSent | State::SynReceived);
        if open && flow.mode == Mode::Snat {
            self.first_syns.gave_way(flow.frontend, flow.seen, now);
            if let Some(seq) = self.half_open.seq(flow.half_open) {
                let &Pair { key, backend, .. } = self.pairs.get(flow.pair);
                let (snat, snat_port, at) = (key.snat, flow.snat_port, (key.addr, key.port));
                self.news.gone(Gone { snat, snat_port, backend, at, seq });
            }
        }
        self.remove(FlowRef(place));
    }

    /// Half-open flows hold at most half of a pair's ports.
    pub(super) fn enforce_pair_quota(&mut self, pair: PairRef, ports: Range, now: Tick) {
        let ends = &self.pairs.get(pair).half_open;
        if ports.is_half(ends.count())
            && let Some(oldest) = self.half_open.oldest_of(ends)
        {
            self.evict(oldest, now);
        }
    }

    pub(super) fn take_port(&mut self, pair: PairRef, ports: Range, now: Tick) -> Option<L4Port> {
        let space = &mut self.pairs.get_mut(pair).ports;
        if let Some(port) = space.take(&mut self.blocks, ports, now) {
            return Some(port);
        }
        if !self.blocks.is_empty() {
            return None;
        }
        self.reclaim_blocks();
        self.pairs.get_mut(pair).ports.take(&mut self.blocks, ports, now)
    }

    /// Established flows use so many ports of a pair that half-open ones have less than their half.
    #[cold]
    pub(super) fn take_from_half_open(
        &mut self,
        pair: PairRef,
        ports: Range,
        now: Tick,
    ) -> Result<L4Port, DropReason> {
        let oldest = self.half_open.oldest_of(&self.pairs.get(pair).half_open);
        self.evict(oldest.ok_or(DropReason::PortsExhausted)?, now);
        let space = &mut self.pairs.get_mut(pair).ports;
        space.take(&mut self.blocks, ports, now).ok_or(DropReason::PortsExhausted)
    }

    /// Takes back blocks of which no port is in use.
    fn reclaim_blocks(&mut self) {
        for _ in 0..RECLAIM_STEP.min(self.pairs.len()) {
            self.reclaim_at = (self.reclaim_at + 1) % self.pairs.len();
            let space = &mut self.pairs.get_mut(PairRef(self.reclaim_at as u32)).ports;
            if space.open_blocks() > 0 {
                space.release(&mut self.blocks);
            }
        }
    }
}
