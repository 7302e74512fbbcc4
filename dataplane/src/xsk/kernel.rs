//! The kernel behind the rings. xsk-rs does the set-up and the ring arithmetic; this module turns
//! its copyable descriptors into `Frame`s, which exist once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, SocketConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue};

use super::frame::{Chunk, Frame};
use super::options;
use super::pool::Pool;
use super::registered::{KernelUmem, SetupError, with_source};
use super::socket::{Burst, Occupancy, Socket};
use super::umem::Umem;
use crate::limits::BURST;

/// Packets that one `sendto` may send, where the kernel lets us say so.
const TX_BUDGET: u32 = 256;
/// `XDP_PKT_CONTD` of `linux/if_xdp.h`: the packet goes on in the next descriptor.
const XDP_PKT_CONTD: u32 = 1;
/// A queue is busy for a moment after the process that held it was killed.
const BIND_RETRIES: u32 = 100;

/// How a socket is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindMode {
    /// Ask for zero-copy; else copy.
    pub zero_copy: bool,
    /// Ask for chains (`XDP_USE_SG`).
    pub scatter_gather: bool,
}

/// The kernel's rings of one (port, queue).
#[derive(Debug)]
pub struct KernelSocket {
    umem: Arc<Umem>,
    registered: xsk_rs::Umem,
    descs: Arc<[FrameDesc]>,
    ring: usize,
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// The beginning of a chain whose end has not been received yet.
    partial: Option<Partial>,
    /// Descriptors not yet written to the tx ring.
    staged: Vec<FrameDesc>,
    rx_outstanding: usize,
    tx_outstanding: usize,
    zero_copy: bool,
}

/// A chain in the middle of being received.
#[derive(Debug)]
enum Partial {
    Fits(Frame),
    /// Longer than we hold together: its further chunks go home as they come.
    TooLong,
}

impl KernelSocket {
    /// Binds to (`interface`, `queue`). Waits up to 100 ms for a killed predecessor to let go.
    ///
    /// # Errors
    /// What the kernel says, with interface and queue.
    pub fn bind(
        umem: &KernelUmem,
        interface: &str,
        queue: u32,
        mode: BindMode,
    ) -> Result<Self, SetupError> {
        let name: Interface =
            interface.parse().map_err(|_| SetupError::Name { interface: interface.to_owned() })?;
        let mut flags = BindFlags::XDP_USE_NEED_WAKEUP;
        flags |= if mode.zero_copy { BindFlags::XDP_ZEROCOPY } else { BindFlags::XDP_COPY };
        if mode.scatter_gather {
            flags |= BindFlags::XDP_USE_SG;
        }
        let config = SocketConfig::builder()
            .rx_queue_size(umem.ring)
            .tx_queue_size(umem.ring)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(flags)
            .build();
        let mut retries = 0;
        let (tx, rx, rings) = loop {
            // SAFETY: the flag that keeps libxdp from loading a program is set, which is what
            // this function asks for where a queue is bound more than once.
            match unsafe { xsk_rs::Socket::new(config, &umem.registered, &name, queue) } {
                Ok(made) => break made,
                Err(error) if retries < BIND_RETRIES && is_busy(&error) => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(bind_error(interface, queue, with_source(&error))),
            }
        };
        let (fill, completion) = rings
            .ok_or_else(|| bind_error(interface, queue, "the queue is bound already".into()))?;
        let fd = tx.fd().as_raw_fd();
        // Before Linux 6.17 there is no such option: then one sendto sends 32 packets.
        drop(options::set_tx_budget(fd, TX_BUDGET));
        let zero_copy = options::is_zero_copy(fd).unwrap_or(false);
        let ring = umem.ring.get() as usize;
        Ok(Self {
            umem: Arc::clone(&umem.umem),
            registered: umem.registered.clone(),
            descs: Arc::clone(&umem.descs),
            ring,
            rx,
            tx,
            fill,
            completion,
            partial: None,
            staged: Vec::with_capacity(ring),
            rx_outstanding: 0,
            tx_outstanding: 0,
            zero_copy,
        })
    }

    /// The socket, to be given to the steering program.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the queues in `self`, which stay for the borrow.
        unsafe { BorrowedFd::borrow_raw(self.tx.fd().as_raw_fd()) }
    }

    /// Whether the kernel granted zero-copy.
    #[must_use]
    pub fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    fn chunk_of(&self, desc: &FrameDesc) -> Chunk {
        let index = (desc.addr() / self.umem.layout().stride) as u32;
        Chunk { index, len: desc.lengths().data() as u16 }
    }

    /// Puts one received descriptor to the chain that it belongs to. Returns 1 when a chain that
    /// was too long has ended.
    fn assemble(&mut self, desc: &FrameDesc, burst: &mut Burst, pool: &mut Pool) -> usize {
        let chunk = self.chunk_of(desc);
        let joined = match self.partial.take() {
            None => Partial::Fits(Frame::single(self.umem.id(), chunk.index, chunk.len)),
            Some(Partial::Fits(mut frame)) => match frame.push(chunk) {
                Ok(()) => Partial::Fits(frame),
                Err(chunk) => {
                    pool.give(frame);
                    pool.give_chunk(chunk);
                    Partial::TooLong
                }
            },
            Some(Partial::TooLong) => {
                pool.give_chunk(chunk);
                Partial::TooLong
            }
        };
        if desc.has_more_frames() {
            self.partial = Some(joined);
            return 0;
        }
        match joined {
            Partial::Fits(frame) => {
                burst.push(frame);
                0
            }
            Partial::TooLong => 1,
        }
    }

    fn stage_desc(&mut self, chunk: Chunk, more: bool) {
        let mut desc = self.descs[chunk.index as usize];
        desc.set_options(if more { XDP_PKT_CONTD } else { 0 });
        // SAFETY: the chunk came out of a frame that `transmit` consumed, so this is the only
        // access; only the length in the descriptor is written.
        let mut data = unsafe { self.registered.data_mut(&mut desc) };
        data.cursor().set_pos(usize::from(chunk.len));
        self.staged.push(desc);
    }
}

fn is_busy(error: &dyn std::error::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|io| io.raw_os_error() == Some(libc::EBUSY))
}

fn bind_error(interface: &str, queue: u32, reason: String) -> SetupError {
    SetupError::Bind { interface: interface.to_owned(), queue, reason }
}

impl Socket for KernelSocket {
    fn receive(&mut self, burst: &mut Burst, pool: &mut Pool) -> usize {
        let mut descs = [FrameDesc::default(); BURST];
        let room = burst.remaining_capacity();
        // SAFETY: what comes out of the rx ring was filled by us and belongs to us again; each
        // descriptor is turned into a frame exactly once, below.
        let received = unsafe { self.rx.consume(&mut descs[..room]) };
        self.rx_outstanding -= received;
        let mut too_long = 0;
        for desc in &descs[..received] {
            too_long += self.assemble(desc, burst, pool);
        }
        too_long
    }

    fn refill(&mut self, pool: &mut Pool) {
        let mut wanted = self.ring - self.rx_outstanding;
        while wanted > 0 {
            let mut batch: ArrayVec<FrameDesc, BURST> = ArrayVec::new();
            while batch.len() < wanted.min(BURST) {
                let Some(index) = pool.take_index() else { break };
                batch.push(self.descs[index as usize]);
            }
            // SAFETY: these chunks were free, so nobody else uses them.
            let taken = unsafe { self.fill.produce(&batch) };
            self.rx_outstanding += taken;
            for desc in &batch[taken..] {
                pool.give_chunk(self.chunk_of(desc));
            }
            if taken < BURST {
                break;
            }
            wanted -= taken;
        }
    }

    fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        assert_eq!(frame.umem, self.umem.id(), "a frame is sent from its own UMEM");
        let count = frame.chunk_count();
        if self.tx_outstanding + count > self.ring {
            return Err(frame);
        }
        self.tx_outstanding += count;
        for (i, chunk) in frame.chunks().enumerate() {
            self.stage_desc(chunk, i + 1 < count);
        }
        Ok(())
    }

    fn kick(&mut self) -> io::Result<bool> {
        if !self.staged.is_empty() {
            // SAFETY: each staged descriptor stands for a chunk that `transmit` consumed. The
            // ring has room: no more than its size is ever outstanding.
            let taken = unsafe { self.tx.produce(&self.staged) };
            debug_assert_eq!(taken, self.staged.len(), "outstanding never exceeds the ring");
            self.staged.drain(..taken);
        }
        let mut unsent = self.unsent();
        let mut turns = 0;
        while unsent > 0 && turns < self.ring {
            self.tx.wakeup()?;
            let left = self.unsent();
            if left == unsent {
                break;
            }
            unsent = left;
            turns += 1;
        }
        Ok(unsent > 0)
    }

    fn complete(&mut self, pool: &mut Pool) {
        if self.tx_outstanding == 0 {
            return;
        }
        let mut descs = [FrameDesc::default(); BURST];
        loop {
            // SAFETY: what comes out of the completion ring is ours again; each descriptor goes
            // to the pool exactly once.
            let done = unsafe { self.completion.consume(&mut descs) };
            self.tx_outstanding -= done;
            for desc in &descs[..done] {
                pool.give_chunk(self.chunk_of(desc));
            }
            if done < BURST {
                break;
            }
        }
    }

    fn occupancy(&self) -> Occupancy {
        let stats = self.tx.fd().xdp_statistics().unwrap_or_default();
        let partial = match &self.partial {
            Some(Partial::Fits(frame)) => frame.chunk_count(),
            _ => 0,
        };
        Occupancy {
            rx: self.rx_outstanding + partial,
            tx: self.tx_outstanding,
            rx_ring_full: stats.rx_ring_full(),
            fill_ring_empty: stats.rx_fill_ring_empty_descs(),
        }
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.tx.fd().as_raw_fd())
    }
}

impl KernelSocket {
    /// Descriptors in the tx ring that the kernel has not taken yet.
    fn unsent(&mut self) -> u32 {
        self.ring as u32 - self.tx.nb_free_exact()
    }
}
