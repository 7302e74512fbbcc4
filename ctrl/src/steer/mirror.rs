use std::collections::BTreeMap;

use aya::maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie};

use super::error::{SteerError, map};

/// A kernel map and what it holds, so that only differences are written.
#[derive(Debug)]
pub(super) struct Mirror<T: Table> {
    name: &'static str,
    table: T,
    held: BTreeMap<T::Key, [u8; 4]>,
}

/// A kernel map with values of four bytes.
pub(super) trait Table {
    type Key: Ord + Clone;
    fn read(&self) -> Result<BTreeMap<Self::Key, [u8; 4]>, MapError>;
    fn insert(&mut self, key: &Self::Key, value: [u8; 4]) -> Result<(), MapError>;
    fn remove(&mut self, key: &Self::Key) -> Result<(), MapError>;
}

impl<T: Table> Mirror<T> {
    /// Reads what an earlier process left in the map.
    pub(super) fn read(name: &'static str, table: T) -> Result<Self, SteerError> {
        let held = table.read().map_err(map("read", name))?;
        Ok(Self { name, table, held })
    }

    /// Entries in the map.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Puts in what is missing. An entry that is there with another value gets the bits of both,
    /// so that nothing is taken away. Says how many entries it wrote.
    pub(super) fn add(&mut self, wanted: &BTreeMap<T::Key, [u8; 4]>) -> Result<usize, SteerError> {
        let mut written = 0;
        for (key, value) in wanted {
            let held = self.held.get(key).copied();
            let union = std::array::from_fn(|at| value[at] | held.unwrap_or_default()[at]);
            written += usize::from(self.write(key, held, union)?);
        }
        Ok(written)
    }

    /// Takes out what is not wanted, and the bits that [`Mirror::add`] kept. Says how many
    /// entries it removed or wrote.
    pub(super) fn retain_only(
        &mut self,
        wanted: &BTreeMap<T::Key, [u8; 4]>,
    ) -> Result<usize, SteerError> {
        let mut written = 0;
        let stale: Vec<T::Key> =
            self.held.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        for key in stale {
            self.table.remove(&key).map_err(map("remove an entry from", self.name))?;
            self.held.remove(&key);
            written += 1;
        }
        for (key, value) in wanted {
            if let Some(held) = self.held.get(key).copied() {
                let common = std::array::from_fn(|at| value[at] & held[at]);
                written += usize::from(self.write(key, Some(held), common)?);
            }
        }
        Ok(written)
    }

    fn write(
        &mut self,
        key: &T::Key,
        held: Option<[u8; 4]>,
        value: [u8; 4],
    ) -> Result<bool, SteerError> {
        if held == Some(value) {
            return Ok(false);
        }
        self.table.insert(key, value).map_err(map("write an entry to", self.name))?;
        self.held.insert(key.clone(), value);
        Ok(true)
    }
}

impl<const N: usize> Table for HashMap<MapData, [u8; N], [u8; 4]> {
    type Key = [u8; N];

    fn read(&self) -> Result<BTreeMap<Self::Key, [u8; 4]>, MapError> {
        self.iter().collect()
    }

    fn insert(&mut self, key: &Self::Key, value: [u8; 4]) -> Result<(), MapError> {
        Self::insert(self, key, value, 0)
    }

    fn remove(&mut self, key: &Self::Key) -> Result<(), MapError> {
        Self::remove(self, key)
    }
}

impl<const N: usize> Table for LpmTrie<MapData, [u8; N], [u8; 4]> {
    type Key = (u32, [u8; N]);

    fn read(&self) -> Result<BTreeMap<Self::Key, [u8; 4]>, MapError> {
        let entry =
            |(key, value): (lpm_trie::Key<[u8; N]>, _)| ((key.prefix_len(), key.data()), value);
        self.iter().map(|found| found.map(entry)).collect()
    }

    fn insert(&mut self, key: &Self::Key, value: [u8; 4]) -> Result<(), MapError> {
        Self::insert(self, &lpm_trie::Key::new(key.0, key.1), value, 0)
    }

    fn remove(&mut self, key: &Self::Key) -> Result<(), MapError> {
        Self::remove(self, &lpm_trie::Key::new(key.0, key.1))
    }
}
