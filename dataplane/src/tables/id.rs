use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names a `T` across snapshots: an index of 20 bits and a generation of 12, so that an entry
/// which outlives its `T` cannot reach the next one in the same place.
pub struct Id<T>(u32, PhantomData<fn() -> T>);

const INDEX_BITS: u32 = 20;

impl<T> Id<T> {
    /// Indexes run from 0 to this, exclusive.
    pub const INDEX_MAX: usize = 1 << INDEX_BITS;

    /// Puts index and generation together; both are cut to their width.
    #[inline]
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        Self((generation << INDEX_BITS) | (index & (Self::INDEX_MAX as u32 - 1)), PhantomData)
    }

    /// Dense index into the slab of this kind.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize & (Self::INDEX_MAX - 1)
    }

    /// Which tenant of that index is meant.
    #[inline]
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 >> INDEX_BITS
    }

    /// All 32 bits, for hashing and display.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

/// Names a [`super::Frontend`].
pub type FrontendId = Id<super::Frontend>;
/// Names a [`super::Backend`].
pub type BackendId = Id<super::Backend>;
/// Names a [`super::SnatAddress`].
pub type SnatId = Id<super::SnatAddress>;
/// Names a [`super::Hop`].
pub type HopId = Id<super::Hop>;

/// Resolves ids: dense storage, each place with the generation of its tenant.
#[derive(Debug, Clone)]
pub struct Slab<T> {
    places: Vec<Option<(Id<T>, T)>>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts `value` where `id` points; a former tenant is replaced.
    pub fn insert(&mut self, id: Id<T>, value: T) {
        if self.places.len() <= id.index() {
            self.places.resize_with(id.index() + 1, || None);
        }
        self.places[id.index()] = Some((id, value));
    }

    /// Empties the place of `id`, unless it has a later tenant.
    pub fn remove(&mut self, id: Id<T>) {
        if let Some(place) = self.places.get_mut(id.index()) {
            place.take_if(|(tenant, _)| *tenant == id);
        }
    }

    /// The value that `id` names; `None` when it is gone.
    #[inline]
    #[must_use]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        match self.places.get(id.index()) {
            Some(Some((tenant, value))) if *tenant == id => Some(value),
            _ => None,
        }
    }

    /// Every id with its value, by index.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.places.iter().flatten().map(|(id, value)| (*id, value))
    }
}

impl<T: Copy> Slab<T> {
    /// A copy for the next snapshot.
    #[must_use]
    #[expect(
        clippy::iter_cloned_collect,
        reason = "copies plain memory; `to_vec` looks at each place, since `Id` is not derived"
    )]
    pub fn copied(&self) -> Self {
        Self { places: self.places.iter().copied().collect() }
    }
}

impl<T> FromIterator<(Id<T>, T)> for Slab<T> {
    fn from_iter<I: IntoIterator<Item = (Id<T>, T)>>(iter: I) -> Self {
        let mut slab = Self::default();
        for (id, value) in iter {
            slab.insert(id, value);
        }
        slab
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_index_and_generation() {
        let id = Id::<()>::new(0xf_ffff, 0xfff);
        assert_eq!((id.index(), id.generation()), (0xf_ffff, 0xfff));
        assert_eq!(Id::<()>::new(5, 0x1000), Id::new(5, 0), "a generation is cut to 12 bits");
        assert_eq!(size_of::<Id<()>>(), 4);
    }

    #[test]
    fn an_id_of_a_former_tenant_finds_nothing() {
        let (old, new) = (Id::new(3, 1), Id::new(3, 2));
        let mut slab: Slab<&str> = [(old, "old")].into_iter().collect();
        assert_eq!(slab.get(old), Some(&"old"));
        assert_eq!(slab.get(Id::new(2, 1)), None, "a place that was never taken");
        assert_eq!(slab.get(Id::new(4, 1)), None, "past the end");
        slab.insert(new, "new");
        assert_eq!(slab.get(old), None);
        slab.remove(old);
        slab.remove(Id::new(9, 0));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(new, &"new")]);
        slab.remove(new);
        assert_eq!(slab.get(new), None);
    }
}
