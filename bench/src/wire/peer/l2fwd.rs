use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::XskMap;
use dataplane::mem::Pages;
use dataplane::worker::last_cores;
use dataplane::xsk::kernel::{BindMode, KernelSocket};
use dataplane::xsk::registered::{KernelUmem, SetupError};
use dataplane::xsk::socket::Burst;
use dataplane::xsk::umem::Layout;
use dataplane::xsk::{Pool, Socket as _, Umem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Peer, program};
use crate::wire::rig::{FAR, NEAR, Rig, mac};

const THREAD: &str = "bare-l2fwd";
/// As the appliance's defaults.
const RING: u32 = 2_048;
pub(super) const LAYOUT: Layout = Layout { stride: 2_048, count: 16_384 };
/// As the appliance's: turns without a packet before it sleeps.
const SPIN_TURNS: u32 = 256;
const SLEEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The least that an AF_XDP program can do: from one port to the other with new MACs, on the same
/// wrapper, rings and core as the appliance. What it is faster is what balancing costs.
struct L2fwd {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _object: Ebpf,
}

impl Peer for L2fwd {
    fn worker(&self) -> Option<(u32, &'static str)> {
        Some((std::process::id(), THREAD))
    }
}

impl Drop for L2fwd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed, and shows in the figures.
            let _ = thread.join();
        }
    }
}

/// Starts it with packet memory in such pages.
///
/// # Errors
/// When the sockets cannot be bound, or the memory lies elsewhere.
pub fn start(rig: &Rig, pages: Pages) -> Result<Box<dyn Peer>> {
    let mut object = program::attach(Some(&rig.gateway), "take", &[NEAR])?;
    let mode = BindMode { zero_copy: false, scatter_gather: true };
    // All of it inside: the first socket of a UMEM is the UMEM's own, in whose namespace its
    // interface is looked for.
    let bound = rig.gateway.enter(|| {
        let (umem, pool) = KernelUmem::new(LAYOUT, RING)?;
        let near = KernelSocket::bind(&umem, NEAR, 0, mode)?;
        let far = KernelSocket::bind(&umem, FAR, 0, mode)?;
        Ok::<_, SetupError>((umem, pool, near, far))
    });
    let (umem, pool, near, far) = bound??;
    ensure!(umem.pages() == pages, "its packet memory is {}", umem.pages().name());
    let mut rings = XskMap::try_from(object.map_mut("rings").context("no rings")?)?;
    rings.set(0, near.as_fd(), 0).context("give the socket to the program")?;
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&mac(&rig.server, NEAR)?);
    macs[6..].copy_from_slice(&mac(&rig.gateway, FAR)?);
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    let mut work = Forward { near, far, umem: umem.memory(), pool, macs };
    let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
        if let Some(id) = last_cores(1).first().copied() {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        work.run(&until);
        drop(umem);
    })?;
    Ok(Box::new(L2fwd { over, thread: Some(thread), _object: object }))
}

struct Forward {
    near: KernelSocket,
    far: KernelSocket,
    umem: Arc<Umem>,
    pool: Pool,
    macs: [u8; 12],
}

impl Forward {
    fn run(&mut self, over: &AtomicBool) {
        self.near.refill(&mut self.pool);
        let mut burst = Burst::new();
        let mut idle = 0;
        while !over.load(Ordering::Relaxed) {
            if self.turn(&mut burst) {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle > SPIN_TURNS {
                // Woken or not, the loop looks.
                let _ = poll(&mut [PollFd::new(&self.near.as_fd(), PollFlags::IN)], Some(&SLEEP));
                idle = 0;
            }
        }
    }

    fn turn(&mut self, burst: &mut Burst) -> bool {
        let too_long = self.near.receive(burst, &mut self.pool);
        let some = !burst.is_empty();
        for mut frame in burst.drain(..) {
            if let Some(macs) = self.umem.view(&mut frame).bytes_mut().get_mut(..12) {
                macs.copy_from_slice(&self.macs);
            }
            if let Err(frame) = self.far.transmit(frame) {
                self.pool.give(frame);
            }
        }
        // A device that is gone shows as packets that do not arrive.
        let unsent = some && self.far.kick().unwrap_or(false);
        self.far.complete(&mut self.pool);
        self.near.refill(&mut self.pool);
        some || unsent || too_long > 0
    }
}
