use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::id::{BackendId, FrontendId, Slab, SnatId};
use super::maglev::Maglev;
use super::policy::Policy;
use crate::addr::{Addr, L4Port, Proto};

/// What a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrontendKey {
    /// The VIP.
    pub addr: Addr,
    /// The service port, host order.
    pub port: L4Port,
    /// The protocol.
    pub proto: Proto,
}

impl Hash for FrontendKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addr.hash(state);
        state.write_u32(u32::from(self.port) << 8 | self.proto as u32);
    }
}

/// How packets reach the backends (design section 5). More modes come with later features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Mode {
    /// Destination and source rewritten: works everywhere.
    #[default]
    Snat,
    /// Destination rewritten, the client's address kept: the backend's way to its clients goes
    /// through us.
    Nat,
    /// Only MACs and TTL change: the backend is on the link, has the VIP on a loopback, and
    /// answers the client itself.
    DsrL2,
}

impl Mode {
    /// The word in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snat => "snat",
            Self::Nat => "nat",
            Self::DsrL2 => "dsr-l2",
        }
    }
}

/// One (VIP, port, protocol) and how it is balanced.
#[derive(Debug, Clone)]
pub struct Frontend {
    /// What clients connect to.
    pub key: FrontendKey,
    /// How packets reach the backends.
    pub mode: Mode,
    /// Selects the backend of a new flow; `None` when no backend is active.
    pub maglev: Option<Arc<Maglev>>,
    /// Source addresses towards the backends, of the VIP's family; when empty, each backend's
    /// [`super::Backend::default_snat`].
    pub snat: Box<[SnatId]>,
    /// Backends that left this frontend while flows may refer to them: those flows end as if the
    /// backend were gone, even when another frontend still uses it.
    pub left: Box<[BackendId]>,
    /// Removed: its TCP flows are reset, and there are no new ones.
    pub gone: bool,
    /// What it does besides balancing.
    pub policy: Policy,
}

/// All frontends, by key and by id.
#[derive(Debug, Default, Clone)]
pub struct Frontends {
    by_key: HashMap<FrontendKey, FrontendId, FixedState>,
    by_id: Slab<Arc<Frontend>>,
}

impl Frontends {
    /// The frontend with this key, removed ones included while flows may refer to them.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &FrontendKey) -> Option<(FrontendId, &Frontend)> {
        let id = *self.by_key.get(key)?;
        Some((id, self.get(id)?))
    }

    /// Whether there is a frontend with this key, or was one to which flows may still refer.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: &FrontendKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// The frontend that `id` names, removed ones included while flows may refer to them.
    #[inline]
    #[must_use]
    pub fn get(&self, id: FrontendId) -> Option<&Frontend> {
        self.by_id.get(Self::arc_id(id)).map(Arc::as_ref)
    }

    /// Shares the frontend that `id` names, for the next snapshot.
    #[must_use]
    pub fn share(&self, id: FrontendId) -> Option<Arc<Frontend>> {
        self.by_id.get(Self::arc_id(id)).cloned()
    }

    /// Puts `frontend` in the place of `id`, whose key it has.
    pub fn replace(&mut self, id: FrontendId, frontend: Arc<Frontend>) {
        debug_assert_eq!(self.by_key.get(&frontend.key), Some(&id), "another key");
        self.by_id.insert(Self::arc_id(id), frontend);
    }

    /// Every frontend with its id, by index.
    pub fn iter(&self) -> impl Iterator<Item = (FrontendId, &Frontend)> {
        self.by_id
            .iter()
            .map(|(id, f)| (FrontendId::new(id.index() as u32, id.generation()), f.as_ref()))
    }

    const fn arc_id(id: FrontendId) -> super::id::Id<Arc<Frontend>> {
        super::id::Id::new(id.index() as u32, id.generation())
    }
}

impl FromIterator<(FrontendId, Arc<Frontend>)> for Frontends {
    fn from_iter<I: IntoIterator<Item = (FrontendId, Arc<Frontend>)>>(iter: I) -> Self {
        let mut all = Self::default();
        for (id, frontend) in iter {
            all.by_key.insert(frontend.key, id);
            all.by_id.insert(Self::arc_id(id), frontend);
        }
        all
    }
}
