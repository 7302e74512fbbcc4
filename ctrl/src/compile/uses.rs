use std::collections::BTreeMap;

/// How often each key is used: says when one comes and when it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uses<K>(BTreeMap<K, u32>);

impl<K> Default for Uses<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Uses<K> {
    /// Counts a use; whether it is the first.
    pub fn add(&mut self, key: K) -> bool {
        let uses = self.0.entry(key).or_default();
        *uses += 1;
        *uses == 1
    }

    /// Ends a use; whether it was the last.
    pub fn end(&mut self, key: &K) -> bool {
        let Some(uses) = self.0.get_mut(key) else { return false };
        *uses -= 1;
        *uses == 0 && self.0.remove(key).is_some()
    }

    /// Whether anything uses `key`.
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Every key in use, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_with_its_first_use_and_goes_with_its_last() {
        let mut uses = Uses::default();
        assert!(uses.add("a") && !uses.add("a"));
        assert!(!uses.end(&"a") && uses.contains(&"a"));
        assert!(uses.end(&"a") && !uses.contains(&"a"));
        assert!(!uses.end(&"a"), "nothing used it");
    }
}
