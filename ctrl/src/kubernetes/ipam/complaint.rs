use super::pool::Pool;
use super::span::BlockError;
use super::view::View;
use crate::kubernetes::api::metadata::{Key, Metadata};
use crate::kubernetes::api::pool::{IpPool, KIND};
use crate::kubernetes::api::selector::Labels;
use crate::kubernetes::snapshot;

/// What is wrong with an object. For an event on it and for the status of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Kind of the object.
    pub kind: &'static str,
    /// Where it is.
    pub object: Key,
    /// Tells it from an earlier one of the same name.
    pub uid: String,
    /// What is wrong and what comes of it, one sentence without a full stop.
    pub what: String,
}

impl Complaint {
    fn new(kind: &'static str, metadata: &Metadata, what: String) -> Self {
        Self { kind, object: metadata.key(), uid: metadata.uid.clone(), what }
    }

    /// The same among all that is wrong with objects.
    #[must_use]
    pub fn into_snapshot(self) -> snapshot::Complaint {
        let Self { kind, object, uid, what: message } = self;
        let reason = if kind == KIND { "PoolInvalid" } else { "AddressRequestInvalid" };
        snapshot::Complaint { kind, object, uid, reason, message }
    }

    /// A new pool that cannot be used.
    pub(super) fn refused(pool: &IpPool, error: &BlockError) -> Self {
        let what = format!("the pool is not used: {error}");
        Self::new(KIND, &pool.metadata, what)
    }

    /// What is wrong with a pool that is in use.
    pub(super) fn of_pool(pool: &Pool) -> Vec<Self> {
        let metadata = &pool.object.metadata;
        let refused = pool.refused.iter().map(|error| {
            format!("the change is not used; services keep what they have until it is: {error}")
        });
        // Whether a selector makes sense does not hang on labels.
        let selector = pool.selects(&Labels::new()).err();
        let selector = selector.map(|error| format!("the pool serves nobody new: {error}"));
        refused.chain(selector).map(|what| Self::new(KIND, metadata, what)).collect()
    }

    /// What is wrong with a service.
    pub(super) fn of_view(view: &View) -> Vec<Self> {
        let nonsense = view.request.nonsense.iter().map(|text| {
            let rest = if view.request.addresses.is_empty() {
                "any address will do"
            } else {
                "the others are given"
            };
            format!("asks for '{text}', which is no address; {rest}")
        });
        nonsense.map(|what| Self::new("Service", &view.metadata, what)).collect()
    }
}
