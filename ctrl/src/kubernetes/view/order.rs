use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kubernetes::api::metadata::{Key, Timestamp};
use crate::kubernetes::snapshot::ClusterService;
use crate::kubernetes::translate::Translated;

/// Services as a snapshot has them: the oldest first, then by name. It is kept, so that a change among
/// many sorts and copies nothing.
#[derive(Debug, Default)]
pub struct Order {
    by_age: BTreeMap<(Timestamp, Key), Vec<Arc<ClusterService>>>,
}

impl Order {
    /// From now on `key` comes to `translated`; parts that are the same as before stay the same `Arc`.
    pub fn put(&mut self, key: &Key, age: &Timestamp, translated: &Translated) {
        let parts = self.by_age.entry((age.clone(), key.clone())).or_default();
        let before = std::mem::take(parts);
        *parts = translated
            .services
            .iter()
            .map(|service| {
                let same = before
                    .iter()
                    .find(|part| Arc::ptr_eq(&part.service, service) && part.uid == translated.uid);
                same.cloned().unwrap_or_else(|| {
                    let (object, uid) = (key.clone(), translated.uid.clone());
                    Arc::new(ClusterService { object, uid, service: Arc::clone(service) })
                })
            })
            .collect();
    }

    /// There is no such service any more, or not of that age.
    pub fn remove(&mut self, key: &Key, age: &Timestamp) {
        self.by_age.remove(&(age.clone(), key.clone()));
    }

    /// All of them, in order.
    pub fn all(&self) -> Arc<[Arc<ClusterService>]> {
        // Of known length, so that it is allocated once.
        let all: Vec<_> = self.by_age.values().flatten().cloned().collect();
        all.into()
    }
}
