use std::collections::HashMap;
use std::sync::Arc;

use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::maglev::Member;
use dataplane::tables::{BackendId, Frontend, Maglev};

/// Size, and members as (id, weight) in the order of ids.
type MaglevKey = (u32, Box<[(u32, u16)]>);

/// Maglev tables by what they are made of, each with the number of frontends that use it. The VIP
/// is not part of it, so services with the same backends share one table.
#[derive(Debug, Default)]
pub struct MaglevMemo {
    seeds: HashSeeds,
    pub tables: HashMap<MaglevKey, (Arc<Maglev>, usize)>,
    /// Tables of the compilation before, while one that begins anew is under way.
    former: HashMap<MaglevKey, (Arc<Maglev>, usize)>,
}

impl MaglevMemo {
    /// Starts anew: what is not asked for again is dropped at the end.
    pub fn begin(&mut self, seeds: HashSeeds) {
        self.former = std::mem::take(&mut self.tables);
        if self.seeds != seeds {
            self.seeds = seeds;
            self.former.clear();
        }
    }

    /// The table for `members`, each with a weight above 0; `None` without any.
    pub fn table(&mut self, size: u32, members: &[Member]) -> Option<Arc<Maglev>> {
        let key = key(size, members.iter().map(|member| (member.id, member.weight)));
        if let Some((table, uses)) = self.tables.get_mut(&key) {
            *uses += 1;
            return Some(Arc::clone(table));
        }
        let table = match self.former.remove(&key) {
            Some((table, _)) => table,
            None => Arc::new(Maglev::build(&self.seeds, size, members)?),
        };
        self.tables.insert(key, (Arc::clone(&table), 1));
        Some(table)
    }

    /// Ends one use of the table for these members, those with weight 0 left out.
    pub fn release(&mut self, size: u32, members: impl Iterator<Item = (BackendId, u16)>) {
        let key = key(size, members.filter(|(_, weight)| *weight > 0));
        if let Some((_, uses)) = self.tables.get_mut(&key) {
            *uses -= 1;
            if *uses == 0 {
                self.tables.remove(&key);
            }
        }
    }

    /// Ends what [`Self::begin`] began.
    pub fn end(&mut self) {
        self.former = HashMap::new();
    }
}

fn key(size: u32, members: impl Iterator<Item = (BackendId, u16)>) -> MaglevKey {
    let mut ids: Box<[_]> = members.map(|(id, weight)| (id.to_bits(), weight)).collect();
    ids.sort_unstable();
    (size, ids)
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
