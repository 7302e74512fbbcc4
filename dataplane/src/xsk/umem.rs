use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frame::{Chunk, Frame};
use super::pool::Pool;
use super::view::View;
use crate::mem::{LINE, prefetch_to_write};

/// Bytes that the kernel keeps free in front of each packet (`XDP_PACKET_HEADROOM`).
pub const XDP_HEADROOM: usize = 256;

/// How the UMEM is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes from chunk to chunk: 2048, or 4096 if any port is jumbo.
    pub stride: usize,
    /// How many chunks.
    pub count: u32,
}

impl Layout {
    /// Packet bytes that fit into one chunk.
    #[must_use]
    pub const fn capacity(self) -> usize {
        self.stride - XDP_HEADROOM
    }
}

/// Keeps the memory mapped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their Drop only")]
pub(super) enum Owner {
    Kernel(xsk_rs::Umem),
    Heap(Box<[u8]>),
}

/// The memory that all frames of a process lie in.
#[derive(Debug)]
pub struct Umem {
    base: NonNull<u8>,
    layout: Layout,
    id: u32,
    _owner: Owner,
}

// SAFETY: the memory is only reached through frames, each of which is the only holder of its
// chunks, so two threads never touch the same bytes.
unsafe impl Send for Umem {}
// SAFETY: as above; a shared `Umem` gives no access without a `&mut Frame`.
unsafe impl Sync for Umem {}

static NEXT_ID: AtomicU32 = AtomicU32::new(0);

impl Umem {
    /// Memory without a kernel, with the strides that it would have, and all its free chunks.
    ///
    /// # Panics
    /// Never: the base of a non-empty box is not null.
    #[must_use]
    pub fn simulated(layout: Layout) -> (Self, Pool) {
        let mut memory = vec![0_u8; layout.stride * layout.count as usize].into_boxed_slice();
        let base = NonNull::new(memory.as_mut_ptr()).expect("a box is never null");
        // SAFETY: `memory` holds `count` chunks of `stride` bytes and moves into the `Umem`.
        unsafe { Self::new(base, layout, Owner::Heap(memory)) }
    }

    /// # Safety
    /// `base` points to `layout.count * layout.stride` bytes that `owner` keeps valid, and
    /// nobody else refers to them, except the kernel to chunks that were handed to it.
    pub(super) unsafe fn new(base: NonNull<u8>, layout: Layout, owner: Owner) -> (Self, Pool) {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let umem = Self { base, layout, id, _owner: owner };
        let pool = Pool::of(&umem);
        (umem, pool)
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// How many chunks there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.layout.count
    }

    /// How the memory is cut up.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of a packet, for as long as its frame is borrowed.
    ///
    /// # Panics
    /// When the frame belongs to another `Umem`.
    #[inline(always)]
    pub fn view<'a>(&'a self, frame: &'a mut Frame) -> View<'a> {
        assert_eq!(frame.umem, self.id, "a frame is viewed through its own UMEM");
        // SAFETY: see `Self::chunk`; the frame holds this chunk alone and stays borrowed.
        let head = unsafe { self.chunk(frame.head.index) };
        View::new(head, &mut frame.head.len, &frame.tail[..usize::from(frame.tails)], self)
    }

    /// The bytes of a further chunk of the packet that is viewed, to read while `view` is borrowed.
    #[inline]
    pub(super) fn tail<'v>(&self, _view: &'v View<'_>, chunk: Chunk) -> &'v [u8] {
        // SAFETY: the view borrows the frame that holds this chunk alone, and gives out nothing
        // that writes to any chunk but the first.
        let bytes: &'v mut [u8] = unsafe { self.chunk(chunk.index) };
        &bytes[..usize::from(chunk.len).min(self.layout.capacity())]
    }

    /// Asks for the headers of a packet, to be read and written soon: the first two cache lines, as far
    /// as it has them.
    #[inline]
    pub fn prefetch(&self, frame: &Frame) {
        let offset = frame.head.index as usize * self.layout.stride + XDP_HEADROOM;
        let start = self.base.as_ptr().wrapping_add(offset);
        prefetch_to_write(start);
        if usize::from(frame.head.len) > LINE {
            prefetch_to_write(start.wrapping_add(LINE));
        }
    }

    /// # Safety
    /// The caller holds the only frame with this chunk, mutably, for `'a`.
    #[inline]
    unsafe fn chunk<'a>(&self, index: u32) -> &'a mut [u8] {
        assert!(index < self.layout.count, "a chunk lies in its UMEM");
        let offset = index as usize * self.layout.stride + XDP_HEADROOM;
        // SAFETY: the index was checked, so this stays within the memory of `Self::new`.
        let start = unsafe { self.base.add(offset) };
        // SAFETY: `capacity` bytes from there lie in the same chunk; exclusive by contract.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.layout.capacity()) }
    }
}
