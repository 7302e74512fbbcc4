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

    /// Ends the tenancy of `key`; its place can be given out again.
    pub fn release(&mut self, key: &K) {
        if let Some(id) = self.ids.remove(key) {
            self.free.push_back(id);
        }
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
}
