use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;

use xsk_rs::FrameDesc;
use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};

use super::pool::Pool;
use super::umem::{Layout, Owner, Umem};
use crate::mem::{HUGE_PAGE, Pages};

/// What can go wrong when memory and sockets are set up.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SetupError {
    #[error("cannot make a UMEM of {count} chunks of {stride} B: {reason}")]
    Umem { count: u32, stride: usize, reason: String },
    #[error("ring size {0} is not a power of two")]
    RingSize(u32),
    #[error("cannot bind an AF_XDP socket to queue {queue} of {interface}: {reason}")]
    Bind { interface: String, queue: u32, reason: String },
    #[error("{interface} is no interface name")]
    Name { interface: String },
}

/// The UMEM as the kernel knows it; sockets are made from it, one for each (port, queue).
#[derive(Debug)]
pub struct KernelUmem {
    pub(super) umem: Arc<Umem>,
    pub(super) registered: xsk_rs::Umem,
    /// The descriptor of every chunk as xsk-rs made it: it gives no other way to name one.
    pub(super) descs: Arc<[FrameDesc]>,
    pub(super) ring: QueueSize,
    pages: Pages,
}

impl KernelUmem {
    /// Maps and registers memory; also returns its free chunks. `ring` is the size of each ring.
    ///
    /// # Errors
    /// What the kernel says: most often too little locked memory allowed.
    pub fn new(layout: Layout, ring: u32) -> Result<(Self, Pool), SetupError> {
        let fail = |reason: String| SetupError::Umem {
            count: layout.count,
            stride: layout.stride,
            reason,
        };
        let ring_size = QueueSize::new(ring).map_err(|_| SetupError::RingSize(ring))?;
        let frame_size = FrameSize::new(layout.stride as u32).map_err(|e| fail(e.to_string()))?;
        let config = UmemConfig::builder()
            .frame_size(frame_size)
            .fill_queue_size(ring_size)
            .comp_queue_size(ring_size)
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let count = NonZeroU32::new(layout.count).ok_or_else(|| fail("no chunks".into()))?;
        // Huge pages are for whoever has reserved them; a part of one cannot be given back.
        let whole = (layout.stride * layout.count as usize).is_multiple_of(HUGE_PAGE);
        let huge = whole.then(|| xsk_rs::Umem::new(config, count, true).ok()).flatten();
        let pages = if huge.is_some() { Pages::Reserved } else { Pages::Transparent };
        let (registered, mut descs) = match huge {
            Some(made) => made,
            None => xsk_rs::Umem::new(config, count, false).map_err(|e| fail(with_source(&e)))?,
        };
        let first = descs.first_mut().ok_or_else(|| fail("no chunks".into()))?;
        let base = mapping_start(&registered, first);
        let owner = Owner::Kernel(registered.clone());
        // SAFETY: xsk-rs mapped `count` chunks of `stride` bytes, kept alive by `owner`; its own
        // accessors are not used again after this.
        let (umem, pool) = unsafe { Umem::new(base, layout, owner) };
        let umem = Arc::new(umem);
        Ok((Self { umem, registered, descs: descs.into(), ring: ring_size, pages }, pool))
    }

    /// What its memory is made of: huge pages only where they were reserved.
    #[must_use]
    pub const fn pages(&self) -> Pages {
        self.pages
    }

    /// The memory, to view frames with.
    #[must_use]
    pub fn memory(&self) -> Arc<Umem> {
        Arc::clone(&self.umem)
    }
}

/// Where the mapping begins. xsk-rs keeps that address to itself, so it is taken from the packet
/// data of the first chunk, which starts `XDP_HEADROOM` bytes in.
fn mapping_start(registered: &xsk_rs::Umem, first: &mut FrameDesc) -> NonNull<u8> {
    // SAFETY: the descriptor was just made by this UMEM and nothing else uses its chunk yet.
    let mut data = unsafe { registered.data_mut(first) };
    let packet = NonNull::from(data.contents_mut()).cast::<u8>();
    // SAFETY: the first chunk's packet data lies this far into the mapping.
    unsafe { packet.sub(super::umem::XDP_HEADROOM) }
}

/// xsk-rs puts the reason of the kernel into the error's source.
pub(super) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
