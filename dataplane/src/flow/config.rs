use super::entry::Flow;
use super::first_syns::FirstSyns;
use super::half_open::HalfOpen;
use super::index::Index;
use super::pair::Pairs;
use super::ports::Blocks;
use crate::limits::PORT_BLOCK;

/// Sizes of a flow table. Everything is allocated at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowTableConfig {
    /// Flows, at most.
    pub flows: usize,
    /// Pairs of (our address, backend), at most.
    pub pairs: usize,
}

impl FlowTableConfig {
    /// Half-open flows, at most: half of the table (design section 6).
    #[must_use]
    pub const fn half_open(self) -> usize {
        self.flows / 2
    }

    /// Blocks of ports: enough for every flow with blocks half used, and one for each pair.
    #[must_use]
    pub const fn blocks(self) -> usize {
        self.flows * 2 / PORT_BLOCK as usize + self.pairs + 16
    }

    /// Bytes of both indexes of a table of this size.
    #[must_use]
    pub fn index_bytes(self) -> usize {
        2 * Index::bytes_for(self.flows)
    }

    /// Bytes that a table of this size takes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.flows * (size_of::<Flow>() + size_of::<u32>())
            + self.index_bytes()
            + HalfOpen::bytes_for(self.half_open())
            + FirstSyns::bytes_for(self.flows)
            + Blocks::bytes_for(self.blocks())
            + Pairs::bytes_for(self.pairs)
    }
}
