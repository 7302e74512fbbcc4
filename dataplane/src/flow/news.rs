use arrayvec::ArrayVec;

use super::entry::NO_NODE;
use crate::addr::{Addr, L4Port};
use crate::tables::{BackendId, SnatId};

/// More than one packet can make give way.
const GONE_MAX: usize = 4;

/// A half-open TCP connection that gave way. Its backend still waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Our address.
    pub snat: SnatId,
    /// Our port, host order.
    pub snat_port: L4Port,
    /// The backend.
    pub backend: BackendId,
    /// Its address and port, host order.
    pub at: (Addr, L4Port),
    /// The sequence number that it expects next.
    pub seq: u32,
}

/// What a table has to tell of the packet at hand.
#[derive(Debug)]
pub(super) struct News {
    /// Whether there is anything at all.
    pub(super) any: bool,
    /// Node of the TCP flow that it began.
    begun: u32,
    gone: ArrayVec<Gone, GONE_MAX>,
}

impl Default for News {
    fn default() -> Self {
        Self { any: false, begun: NO_NODE, gone: ArrayVec::new() }
    }
}

impl News {
    /// A flow, half-open with this node, has begun with a SYN, whose number is not known here.
    #[inline(always)]
    pub(super) fn begin(&mut self, node: u32) {
        (self.any, self.begun) = (true, node);
    }

    /// All is told but for what has gone; the node of the flow that began, if one did.
    #[inline(always)]
    pub(super) fn begun(&mut self) -> u32 {
        self.any = false;
        std::mem::replace(&mut self.begun, NO_NODE)
    }

    #[inline(always)]
    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// One more has given way. Whoever is not told finds out by himself.
    #[cold]
    pub(super) fn gone(&mut self, gone: Gone) {
        self.any = true;
        let _ = self.gone.try_push(gone);
    }

    pub(super) fn next_gone(&mut self) -> Option<Gone> {
        self.gone.pop()
    }
}
