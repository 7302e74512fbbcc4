use std::collections::HashMap;
use std::sync::Arc;

use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::maglev::Member;
use dataplane::tables::{Frontend, Maglev};

/// Size, and members as (id, weight) in the order of ids.
type MaglevKey = (u32, Box<[(u32, u16)]>);

/// Maglev tables by what they are made of. The VIP is not part of it, so services with the same
/// backends share one table.
#[derive(Debug, Default)]
pub struct MaglevMemo {
    seeds: HashSeeds,
    last: HashMap<MaglevKey, Arc<Maglev>>,
    next: HashMap<MaglevKey, Arc<Maglev>>,
}

impl MaglevMemo {
    /// Starts a compilation: what it does not ask for is dropped at the end.
    pub fn begin(&mut self, seeds: HashSeeds) {
        self.next.clear();
        if self.seeds != seeds {
            self.seeds = seeds;
            self.last.clear();
        }
    }

    /// The table for `members`, each with a weight above 0; `None` without any.
    pub fn table(&mut self, size: u32, mut members: Vec<Member>) -> Option<Arc<Maglev>> {
        members.sort_unstable_by_key(|member| member.id.to_bits());
        let ids = members.iter().map(|member| (member.id.to_bits(), member.weight)).collect();
        let key = (size, ids);
        if let Some(table) = self.next.get(&key) {
            return Some(Arc::clone(table));
        }
        let table = match self.last.remove(&key) {
            Some(table) => table,
            None => Arc::new(Maglev::build(&self.seeds, size, &members)?),
        };
        self.next.insert(key, Arc::clone(&table));
        Some(table)
    }

    /// Ends a compilation.
    pub fn end(&mut self) {
        self.last = std::mem::take(&mut self.next);
    }
}

/// Whether two frontends do the same; their Maglev tables are compared by pointer, since the
/// memo gives equal members the same table.
pub fn same(a: &Frontend, b: &Frontend) -> bool {
    let maglev = match (&a.maglev, &b.maglev) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    maglev
        && a.key == b.key
        && a.mode == b.mode
        && a.snat == b.snat
        && a.left == b.left
        && a.gone == b.gone
        && a.policy == b.policy
}
