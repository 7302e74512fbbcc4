use arrayvec::ArrayVec;

use super::entry::FlowRef;
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
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether there is anything at all.
    pub(super) any: bool,
    /// The TCP flow that it began.
    pub(super) begun: Option<FlowRef>,
    gone: ArrayVec<Gone, GONE_MAX>,
}

impl News {
    /// A flow has begun with a SYN, whose number is not known here.
    #[inline]
    pub(super) fn begun(&mut self, place: FlowRef) {
        (self.any, self.begun) = (true, Some(place));
    }

    /// One more has given way. Whoever is not told finds out by himself.
    pub(super) fn gone(&mut self, gone: Gone) {
        self.any = true;
        let _ = self.gone.try_push(gone);
    }

    pub(super) fn next_gone(&mut self) -> Option<Gone> {
        self.gone.pop()
    }
}
