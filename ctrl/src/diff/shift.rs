use std::collections::HashMap;
use std::sync::Arc;

use dataplane::addr::Family;
use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::maglev::Member;
use dataplane::tables::registry::Registry;
use dataplane::tables::{Backend, BackendId, Maglev};

use crate::compile::{BackendKey, members::Members, shares};

/// Hashes that are looked up when two tables differ in size: 1 Mi, evenly over all there are.
const SAMPLES: u32 = 1 << 20;

/// What happens to the flows of a frontend, as shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shift {
    /// New flows that would reach another backend than before.
    pub moved: f64,
    /// Established flows that end because their backend is removed.
    pub ended: f64,
}

/// Maglev tables of both sides, each built once. Backends have the same id on both sides.
pub struct Tables {
    seeds: [HashSeeds; 2],
    ids: Registry<BackendKey, Backend>,
    built: HashMap<(usize, u32, Members), Option<Arc<Maglev>>>,
    shifts: HashMap<(Family, [(u32, Members); 2]), Shift>,
}

impl Tables {
    pub fn new(old: HashSeeds, new: HashSeeds) -> Self {
        Self {
            seeds: [old, new],
            ids: Registry::default(),
            built: HashMap::new(),
            shifts: HashMap::new(),
        }
    }

    /// What the change does to a frontend that has these table sizes and members before and
    /// after.
    pub fn shift(&mut self, family: Family, sides: [(u32, Members); 2]) -> Shift {
        let key = (family, sides);
        if let Some(shift) = self.shifts.get(&key) {
            return *shift;
        }
        let [(old_size, old_members), (new_size, new_members)] = key.1.clone();
        let ended = self.lost(&new_members);
        let old = self.table(0, old_size, old_members);
        let new = self.table(1, new_size, new_members);
        let shift = match (old, new) {
            (None, None) => Shift::default(),
            (None, Some(_)) => Shift { moved: 1.0, ended: 0.0 },
            (Some(old), new) => Shift {
                moved: new.map_or(1.0, |new| self.moved(family, &old, &new)),
                ended: shares(&old).iter().filter(|(id, _)| ended(id)).map(|(_, s)| s).sum(),
            },
        };
        self.shifts.insert(key, shift);
        shift
    }

    /// Which backends the new side does not have.
    fn lost(&mut self, new: &Members) -> impl Fn(&BackendId) -> bool + use<> {
        let kept: Vec<BackendId> = new.iter().filter_map(|(key, _)| self.ids.id_of(key)).collect();
        move |id| !kept.contains(id)
    }

    fn table(&mut self, side: usize, size: u32, members: Members) -> Option<Arc<Maglev>> {
        let (ids, seeds) = (&mut self.ids, &self.seeds[side]);
        let entry = self.built.entry((side, size, members));
        let build = |(_, size, members): &(usize, u32, Members)| {
            let active = members.iter().filter(|(_, weight)| *weight > 0);
            let active: Vec<Member> = active
                .filter_map(|(key, weight)| {
                    let (addr, port, proto) = *key;
                    Some(Member {
                        id: ids.id_of(key)?,
                        addr,
                        port,
                        proto: proto.into(),
                        weight: *weight,
                    })
                })
                .collect();
            Maglev::build(seeds, *size, &active).map(Arc::new)
        };
        entry.or_insert_with_key(build).clone()
    }

    fn moved(&self, family: Family, old: &Maglev, new: &Maglev) -> f64 {
        let [before, after] = self.seeds;
        let same_hash = match family {
            Family::V4 => before.jhash_v4 == after.jhash_v4,
            Family::V6 => before.jhash_v6 == after.jhash_v6,
        };
        if !same_hash {
            return dealt_anew(old, new);
        }
        if old.slots().len() == new.slots().len() {
            return slots_moved(old, new);
        }
        let step = u32::MAX / SAMPLES + 1;
        let other = (0..SAMPLES).filter(|n| old.select(n * step) != new.select(n * step));
        other.count() as f64 / f64::from(SAMPLES)
    }
}

fn slots_moved(old: &Maglev, new: &Maglev) -> f64 {
    let backends = |maglev: &Maglev| -> Vec<BackendId> {
        maglev.slots().iter().map(|slot| maglev.backends()[usize::from(*slot)]).collect()
    };
    let pairs = backends(old).into_iter().zip(backends(new));
    pairs.filter(|(old, new)| old != new).count() as f64 / old.slots().len() as f64
}

/// Another hash seed deals every flow anew: it stays only by chance.
fn dealt_anew(old: &Maglev, new: &Maglev) -> f64 {
    let new = shares(new);
    let stay: f64 =
        shares(old).iter().map(|(id, share)| share * new.get(id).copied().unwrap_or(0.0)).sum();
    1.0 - stay
}
