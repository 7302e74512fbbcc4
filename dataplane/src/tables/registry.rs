use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;

use super::id::Id;

/// Gives each key an id that stays the same for as long as the key lives, and a new generation to
/// whoever gets the place next. Places are reused oldest first, so that a generation returns
/// only after 4 096 tenants.
#[derive(Debug)]
pub struct Registry<K, T> {
    ids: HashMap<K, Id<T>>,
    free: VecDeque<Id<T>>,
    next_index: u32,
}

impl<K, T> Default for Registry<K, T> {
    fn default() -> Self {
        Self { ids: HashMap::new(), free: VecDeque::new(), next_index: 0 }
    }
}

impl<K: Eq + Hash + Clone, T> Registry<K, T> {
    /// The id of `key`, made when it is new; `None` when 2^20 are in use.
    pub fn id_of(&mut self, key: &K) -> Option<Id<T>> {
        if let Some(id) = self.ids.get(key) {
            return Some(*id);
        }
        let id = match self.free.pop_front() {
            Some(old) => Id::new(old.index() as u32, old.generation() + 1),
            None if (self.next_index as usize) < Id::<T>::INDEX_MAX => {
                self.next_index += 1;
                Id::new(self.next_index - 1, 0)
            }
            None => return None,
        };
        self.ids.insert(key.clone(), id);
        Some(id)
    }

    /// The id of `key` if it has one.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Id<T>> {
        self.ids.get(key).copied()
    }

    /// Ends the tenancy of `key` and returns the id that it had; its place can be given out again.
    pub fn release(&mut self, key: &K) -> Option<Id<T>> {
        let id = self.ids.remove(key)?;
        self.free.push_back(id);
        Some(id)
    }

    /// Every key with its id, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, Id<T>)> {
        self.ids.iter().map(|(key, id)| (key, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_id_and_a_place_changes_generation() {
        let mut registry = Registry::<&str, ()>::default();
        let a = registry.id_of(&"a").unwrap();
        assert_eq!(registry.id_of(&"a"), Some(a));
        registry.release(&"a");
        let b = registry.id_of(&"b").unwrap();
        assert_eq!(b.index(), a.index());
        assert_ne!(b, a);
    }

    #[test]
    fn places_are_reused_oldest_first() {
        let mut registry = Registry::<u32, ()>::default();
        for key in 0..3 {
            registry.id_of(&key).unwrap();
        }
        let released = [1, 0, 2].map(|key| registry.release(&key).unwrap().index());
        assert_eq!(released, [1, 0, 2]);
        let places: Vec<_> = (10..14).map(|key| registry.id_of(&key).unwrap().index()).collect();
        assert_eq!(places, [1, 0, 2, 3]);
    }

    #[test]
    fn a_generation_returns_after_4096_tenants() {
        let mut registry = Registry::<u32, ()>::default();
        let ids: Vec<_> = (0..=4096)
            .map(|key| {
                let id = registry.id_of(&key).unwrap();
                registry.release(&key);
                id
            })
            .collect();
        assert_eq!(ids.iter().rposition(|id| *id == ids[0]), Some(4096));
        assert_eq!(ids.iter().skip(1).position(|id| *id == ids[0]), Some(4095));
    }

    #[test]
    fn a_released_or_unknown_key_has_no_id() {
        let mut registry = Registry::<&str, ()>::default();
        registry.id_of(&"a").unwrap();
        registry.release(&"a");
        registry.release(&"b");
        assert_eq!(registry.get(&"a"), None);
        assert_eq!(registry.iter().count(), 0);
        assert_eq!(registry.id_of(&"b").unwrap().index(), 0, "releasing nothing frees nothing");
        assert_eq!(registry.id_of(&"c").unwrap().index(), 1);
    }

    #[test]
    fn there_is_an_end_to_places() {
        let mut registry = Registry::<u32, ()>::default();
        let all = Id::<()>::INDEX_MAX as u32;
        assert!((0..all).all(|key| registry.id_of(&key).is_some()));
        assert_eq!(registry.id_of(&all), None);
        registry.release(&7);
        assert_eq!(registry.id_of(&all).unwrap().index(), 7);
    }
}
