//! Memory that is allocated once, at start, in huge pages where they can be had; fetching ahead, and
//! half a cache line compared at once. The only `unsafe` outside of [`crate::xsk`].

use std::fmt;
use std::mem::{align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use zerocopy::FromZeros;

/// Bytes of a huge page (x86-64 and most arm64 kernels).
pub const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Asks for the cache lines of `value`, to be read soon. Costs a cycle or two and never faults.
#[inline]
pub fn prefetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    prefetch_line(start);
    let last = start.wrapping_add(size_of::<T>().saturating_sub(1));
    if last as usize / LINE != start as usize / LINE {
        prefetch_line(last);
    }
}

/// Asks for the cache line at `place`, which may be anywhere: it is a hint.
#[inline]
pub(crate) fn prefetch_line(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the program can tell; any address will do.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for the cache line at `place`, to be read and written: whoever has it gives it up at once.
#[inline]
pub(crate) fn prefetch_to_write(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above; a processor that does not know this kind of prefetch does nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// One bit for each of `lanes` that equals `wanted`, the first lane's lowest.
#[inline]
#[must_use]
pub fn equal_lanes(lanes: &[u32; 8], wanted: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        equal_lanes_sse2(lanes, wanted)
    }
    #[cfg(not(target_arch = "x86_64"))]
    equal_lanes_one_by_one(lanes, wanted)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn equal_lanes_sse2(lanes: &[u32; 8], wanted: u32) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16,
        _mm_packs_epi32, _mm_set1_epi32, _mm_setzero_si128,
    };
    let halves: *const __m128i = lanes.as_ptr().cast();
    let wanted = _mm_set1_epi32(wanted.cast_signed());
    // SAFETY: the first four numbers are a vector, which need not be aligned.
    let low = unsafe { _mm_loadu_si128(halves) };
    // SAFETY: and so are the other four, which follow.
    let high = unsafe { _mm_loadu_si128(halves.wrapping_add(1)) };
    let equal = _mm_packs_epi32(_mm_cmpeq_epi32(low, wanted), _mm_cmpeq_epi32(high, wanted));
    _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())).cast_unsigned()
}

/// As above, for processors without vectors.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn equal_lanes_one_by_one(lanes: &[u32; 8], wanted: u32) -> u32 {
    (0..).zip(lanes).fold(0, |found, (lane, held)| found | u32::from(*held == wanted) << lane)
}

/// How the pages of a region came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Huge pages that somebody has reserved (`vm.nr_hugepages`).
    Reserved,
    /// Whatever the kernel gives: huge pages where transparent ones are allowed.
    Transparent,
}

impl Pages {
    /// The word for humans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved huge pages",
            Self::Transparent => "as the kernel gives them",
        }
    }
}

/// A vector that never grows beyond its first capacity, in memory of its own. Every page is there
/// from the start: a packet never waits for one.
pub struct Fixed<T> {
    start: NonNull<T>,
    len: usize,
    capacity: usize,
    map: Map,
}

// SAFETY: it owns its elements as a `Vec` does.
unsafe impl<T: Send> Send for Fixed<T> {}
// SAFETY: as above; a shared one gives out shared references only.
unsafe impl<T: Sync> Sync for Fixed<T> {}

impl<T: Copy> Fixed<T> {
    /// Room for `capacity` elements. They are `Copy`, so nothing has to be dropped.
    ///
    /// # Panics
    /// When the machine has not so much memory: at start, where nothing is lost.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= HUGE_PAGE) };
        let bytes = capacity.max(1).checked_mul(size_of::<T>()).expect("a size that can be had");
        let map = Map::new(bytes);
        Self { start: map.start.cast(), len: 0, capacity, map }
    }

    /// Puts one more element at the end.
    ///
    /// # Panics
    /// When it is full: the owner counts.
    #[inline]
    pub fn push(&mut self, value: T) {
        assert!(self.len < self.capacity, "a fixed table never grows");
        // SAFETY: the place lies within the mapping, since `len` is below the capacity.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: the place is ours, aligned (the mapping is, and so is every element after the
        // first), and holds nothing that would have to be dropped.
        unsafe { place.write(value) };
        self.len += 1;
    }

    /// Takes the last element off.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.last().copied();
        self.len = self.len.saturating_sub(1);
        last
    }

    /// Elements that it can hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<T: Copy + FromZeros> Fixed<T> {
    /// `count` elements, all of them zero.
    ///
    /// # Panics
    /// As [`Self::with_capacity`].
    #[must_use]
    pub fn zeroed(count: usize) -> Self {
        let mut fixed = Self::with_capacity(count);
        // The kernel gives zeroed pages, and zeros are a valid `T`.
        fixed.len = count;
        fixed
    }
}

impl<T> Deref for Fixed<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialised and lie within the mapping.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Fixed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `self` is borrowed mutably, so nobody else looks.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> fmt::Debug for Fixed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixed({} of {}, {:?})", self.len, self.capacity, self.map.pages)
    }
}

/// An anonymous mapping.
struct Map {
    /// Where the kernel put it, and how long it is.
    whole: (*mut std::ffi::c_void, usize),
    /// The first huge-page boundary in it.
    start: NonNull<u8>,
    pages: Pages,
}

impl Map {
    fn new(bytes: usize) -> Self {
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        let rounded = bytes.next_multiple_of(HUGE_PAGE);
        if bytes >= HUGE_PAGE
            && let Ok(map) = Self::of(rounded, flags | MapFlags::HUGETLB, Pages::Reserved)
        {
            return map;
        }
        // One page more, so that a boundary lies within; not populated before the advice is given.
        let whole = if bytes >= HUGE_PAGE { rounded + HUGE_PAGE } else { bytes };
        let map = Self::of(whole, MapFlags::PRIVATE, Pages::Transparent)
            .expect("at start, a machine has the memory that its configuration asks for");
        map.advise(bytes);
        map
    }

    fn of(len: usize, flags: MapFlags, pages: Pages) -> rustix::io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, flags)? };
        let aligned =
            if len >= HUGE_PAGE { (at as usize).next_multiple_of(HUGE_PAGE) } else { at as usize };
        let start = at.cast::<u8>().wrapping_add(aligned - at as usize);
        let start = NonNull::new(start).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { whole: (at, len), start, pages })
    }

    /// Asks for huge pages, and for all pages now. Kernels that know neither give pages as they
    /// are touched.
    fn advise(&self, bytes: usize) {
        for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
            // SAFETY: the range lies within this mapping, and neither advice changes its content.
            let _ = unsafe { madvise(self.start.as_ptr().cast(), bytes, advice) };
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is the mapping of `of`, whole; whoever held references to it is gone.
        let unmapped = unsafe { munmap(self.whole.0, self.whole.1) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_pushed_and_no_more() {
        let mut fixed = Fixed::with_capacity(3);
        for n in [1_u32, 2, 3] {
            fixed.push(n);
        }
        assert_eq!(*fixed, [1, 2, 3]);
        assert_eq!((fixed.pop(), fixed.len(), fixed.capacity()), (Some(3), 2, 3));
        fixed[0] = 9;
        assert_eq!(
            (fixed.pop(), fixed.pop(), fixed.pop(), fixed.len()),
            (Some(2), Some(9), None, 0)
        );
    }

    #[test]
    #[should_panic(expected = "never grows")]
    fn does_not_grow() {
        let mut fixed = Fixed::with_capacity(0);
        fixed.push(1_u8);
    }

    #[test]
    fn large_tables_begin_at_a_huge_page_and_are_zero() {
        for bytes in [HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let fixed = Fixed::<u8>::zeroed(bytes);
            assert_eq!(fixed.len(), bytes);
            assert!(fixed.iter().all(|byte| *byte == 0));
            let start = fixed.as_ptr() as usize;
            assert!(bytes < HUGE_PAGE || start.is_multiple_of(HUGE_PAGE));
        }
    }

    proptest::proptest! {
        #[test]
        fn lanes_are_compared_at_once_as_one_by_one(
            lanes in proptest::array::uniform8(0_u32..3),
            wanted in 0_u32..3,
        ) {
            proptest::prop_assert_eq!(
                equal_lanes(&lanes, wanted),
                equal_lanes_one_by_one(&lanes, wanted)
            );
        }
    }

    #[test]
    fn prefetching_changes_nothing() {
        let value = [7_u64; 16];
        prefetch(&value);
        assert_eq!(value, [7; 16]);
    }
}
