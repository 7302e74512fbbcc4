use super::range::Range;
use super::span::{BlockError, Ends};
use crate::kubernetes::api::condition::{self, Condition, Truth};
use crate::kubernetes::api::metadata::Timestamp;
use crate::kubernetes::api::pool::{AVAILABLE, CONFLICT, IpPool, IpPoolSpec, TOTAL, USED};
use crate::kubernetes::api::selector::{Labels, SelectorError};

use super::count::Count;

/// Types of the conditions that are ours.
const OURS: [&str; 4] = [CONFLICT, TOTAL, AVAILABLE, USED];

/// A pool that is in use.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The object as it was last taken over.
    pub object: IpPool,
    /// Its ranges, in the order in which they are used.
    pub ranges: Vec<Range>,
    /// It gives out nothing, by its owner's will. Not the object's word: a change of the object
    /// that cannot be used leaves this as it was.
    pub disabled: bool,
    /// Why the newest blocks of the object are not in use.
    pub refused: Option<BlockError>,
    /// What we say of it.
    pub conditions: Vec<Condition>,
    /// What is on the object of that, as far as we know.
    pub shown: Vec<Condition>,
}

impl Pool {
    /// A pool without ranges.
    #[must_use]
    pub fn new(object: IpPool) -> Self {
        let mut pool = Self {
            disabled: object.spec.disabled,
            ranges: Vec::new(),
            refused: None,
            conditions: Vec::new(),
            shown: Vec::new(),
            object,
        };
        pool.read_conditions();
        pool
    }

    /// Forgets what we said, for what the object says.
    pub fn read_conditions(&mut self) {
        let said = self.object.status.conditions.iter();
        let ours = said.filter(|condition| OURS.contains(&condition.kind.as_str()));
        self.conditions = ours.cloned().collect();
        self.shown.clone_from(&self.conditions);
    }

    /// Name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.object.metadata.name
    }

    /// Its place among pools: by age, then name. Addresses are looked for in this order, and of two
    /// that overlap, the later one is marked.
    #[must_use]
    pub fn seniority(&self) -> (&Timestamp, &str) {
        (&self.object.metadata.creation_timestamp, self.name())
    }

    /// Whether it overlaps with another pool, or itself, and is the one that has to wait.
    #[must_use]
    pub fn is_conflicting(&self) -> bool {
        condition::find(&self.conditions, CONFLICT).is_some_and(|found| found.status == Truth::True)
    }

    /// Whether it gives out addresses.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.disabled && !self.is_conflicting()
    }

    /// Whether it is for a service with these labels.
    ///
    /// # Errors
    /// When its selector makes no sense.
    pub fn selects(&self, labels: &Labels) -> Result<bool, SelectorError> {
        let selector = self.object.spec.service_selector.as_ref();
        selector.map_or(Ok(true), |selector| selector.selects(labels))
    }

    /// Marks it as conflicting, with where it overlaps with which pool, or unmarks it.
    pub fn mark(&mut self, overlap: Option<String>) {
        match overlap {
            Some(message) => self.say(CONFLICT, Truth::True, "cidr_overlap", message),
            None => self.say(CONFLICT, Truth::False, "resolved", String::new()),
        }
    }

    /// Says how many addresses it has, and how many are free.
    pub fn say_counts(&mut self) {
        let total = self.ranges.iter().fold(Count::default(), |sum, range| sum + range.total());
        let used = Count::from(self.ranges.iter().map(Range::used).sum::<u64>());
        for (kind, count) in [(TOTAL, total), (AVAILABLE, total - used), (USED, used)] {
            self.say(kind, Truth::Unknown, "noreason", count.to_string());
        }
    }

    fn say(&mut self, kind: &str, status: Truth, reason: &str, message: String) {
        let condition = Condition {
            kind: kind.to_owned(),
            status,
            observed_generation: self.object.metadata.generation,
            reason: reason.to_owned(),
            message,
        };
        condition::set(&mut self.conditions, condition);
    }
}

/// Reads all blocks of a pool.
///
/// # Errors
/// When one of them cannot be read; then none is of use.
pub fn parse(spec: &IpPoolSpec) -> Result<Vec<Ends>, BlockError> {
    spec.blocks.iter().map(Ends::parse).collect()
}
