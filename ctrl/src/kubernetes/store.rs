//! Objects of one kind as they are now. An object that cannot be read is kept aside with the reason
//! and changes nothing: what was read of it before stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::metadata::Key;

/// What happened to objects of a kind.
#[derive(Debug)]
pub enum News {
    /// These are all that there are, with the version of the list where it has one.
    All(Vec<DynamicObject>, Option<u64>),
    /// This one came or changed.
    Changed(Box<DynamicObject>),
    /// This one is gone since this version.
    Gone(Key, Option<u64>),
}

/// Objects of one kind.
#[derive(Debug)]
pub struct Collection<T> {
    objects: BTreeMap<Key, Arc<T>>,
    broken: BTreeMap<Key, String>,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), broken: BTreeMap::new() }
    }
}

impl<T: DeserializeOwned + PartialEq> Collection<T> {
    /// Takes over what happened; returns the objects that are others now, or are read or cannot be
    /// read now and were not before.
    pub fn take(&mut self, news: News) -> Vec<Key> {
        match news {
            News::All(objects, _) => self.replace(objects),
            News::Changed(object) => self.change(*object).into_iter().collect(),
            News::Gone(key, _) => {
                let known = self.objects.remove(&key).is_some();
                let broken = self.broken.remove(&key).is_some();
                (known || broken).then_some(key).into_iter().collect()
            }
        }
    }

    fn replace(&mut self, objects: Vec<DynamicObject>) -> Vec<Key> {
        let there: BTreeSet<Key> = objects.iter().map(key).collect();
        let mut touched = Vec::new();
        let all = self.objects.keys().chain(self.broken.keys());
        let gone: Vec<Key> = all.filter(|key| !there.contains(key)).cloned().collect();
        for key in gone {
            touched.extend(self.take(News::Gone(key, None)));
        }
        for object in objects {
            touched.extend(self.change(object));
        }
        touched
    }

    fn change(&mut self, object: DynamicObject) -> Option<Key> {
        let key = key(&object);
        match read(object) {
            Ok(object) => {
                let healed = self.broken.remove(&key).is_some();
                let same = self.objects.get(&key).is_some_and(|held| **held == object);
                if !same {
                    self.objects.insert(key.clone(), Arc::new(object));
                }
                (healed || !same).then_some(key)
            }
            Err(why) => {
                let before = self.broken.insert(key.clone(), why.clone());
                (before != Some(why)).then_some(key)
            }
        }
    }
}

impl<T> Collection<T> {
    /// The object of this key, as it was read last.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.objects.get(key)
    }

    /// All of them, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.objects.iter()
    }

    /// How many there are.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.objects.len()
    }

    /// Those that cannot be read, with why.
    #[must_use]
    pub const fn broken(&self) -> &BTreeMap<Key, String> {
        &self.broken
    }
}

/// Where an object is.
#[must_use]
pub fn key(object: &DynamicObject) -> Key {
    let metadata = &object.metadata;
    Key {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// The object as its type; the reason in words when it does not fit.
pub(super) fn read<T: DeserializeOwned>(mut object: DynamicObject) -> Result<T, String> {
    // The largest part of most objects, which nobody here reads.
    object.metadata.managed_fields = None;
    let metadata = serde_json::to_value(&object.metadata).map_err(|error| error.to_string())?;
    let Value::Object(mut fields) = object.data else {
        return Err("the object has no fields".to_owned());
    };
    fields.insert("metadata".to_owned(), metadata);
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
