//! Loads the steering program, attaches it to the ports, and keeps its maps in step with the
//! tables. Links and maps are pinned, so that they outlive the process: design section 8. What
//! the program does is in `bpf/steer.bpf.c`.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portreeve_bpf_abi::{Map, Port};

use crate::steering::Steering;

/// A file system for the pins.
pub mod bpffs;
/// What an earlier process left, and what is missing.
mod adopt;
/// Port ranges as aligned blocks.
mod blocks;
/// Taking it all down.
mod detach;
/// `Steering` as map entries.
mod entries;
/// What can go wrong.
mod error;
/// One pinned link per port.
mod link;
/// One instance per pin directory.
mod lock;
/// The maps, opened from their pins.
mod maps;
/// A map and what it holds.
mod mirror;
/// Ports to attach to.
mod port;

pub use adopt::Start;
pub use detach::detach;
pub use error::SteerError;
pub use port::{ModeChoice, PortAttach, PortAttached};

use entries::Entries;
use error::map;
use maps::Maps;
use port::slot;

/// The compiled steering program.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/steer.bpf.o");

/// The links that are pinned in `pin_dir`, as index of the interface and number of the program;
/// nothing is changed.
///
/// # Errors
/// When the directory cannot be read, or without the right to open what is in it.
pub fn pinned_programs(pin_dir: &Path) -> Result<Vec<(u32, u32)>, SteerError> {
    Ok(link::pinned(pin_dir)?.iter().map(|link| (link.ifindex, link.program)).collect())
}

/// The steering program at work. Dropping it leaves program, links and maps in place.
pub struct Steer {
    maps: Maps,
    pin_dir: PathBuf,
    report: Report,
    /// Invariant: open as long as pins are ours to change.
    lock: OwnedFd,
}

/// How the start went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of what an earlier process left.
    pub start: Start,
    /// The ports, in the order given.
    pub ports: Vec<PortAttached>,
    /// Entries that were in the maps.
    pub entries: usize,
    /// Time that it took.
    pub took: Duration,
}

impl Steer {
    /// Steers `ports` by what is pinned in `pin_dir`; what is missing there is made. A pinned
    /// program of another build is replaced in place; maps of another layout and links of
    /// devices that are gone are discarded. Interfaces are those of the calling thread's network
    /// namespace.
    ///
    /// Ask [`bpffs::refuse_private`] first unless the pins may die with the process.
    ///
    /// # Errors
    /// When `pin_dir` is not on a bpffs or another instance has it, when a port has no room in
    /// the maps, when the kernel refuses program or port. A start that fails and found no link
    /// leaves nothing behind.
    pub fn load_or_adopt(pin_dir: &Path, ports: &[PortAttach]) -> Result<Self, SteerError> {
        #[expect(clippy::disallowed_methods, reason = "measures a start, not a packet")]
        let began = Instant::now();
        ports.iter().try_for_each(PortAttach::check)?;
        bpffs::open(pin_dir)?;
        let lock = lock::lock(pin_dir)?;
        let clean = link::pinned(pin_dir)?.is_empty();
        let adopted = adopt::adopt(pin_dir, ports);
        if adopted.is_err() && clean {
            // The first error is the one to tell.
            let _ = detach::remove(pin_dir);
        }
        let adopt::Adopted { maps, ports, start } = adopted?;
        let entries = maps.addresses.len() + maps.ranges.len() + maps.nat_backends.len();
        let report = Report { start, ports, entries, took: began.elapsed() };
        Ok(Self { maps, pin_dir: pin_dir.into(), report, lock })
    }

    /// How the start went.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Gives frames of a port's receive queue to an AF_XDP socket, which must be bound to that
    /// queue. The kernel takes it out again when the socket is closed.
    ///
    /// # Errors
    /// When port or queue are beyond the limits, or the descriptor is not such a socket.
    pub fn set_socket(
        &mut self,
        port_id: u8,
        queue: u32,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SteerError> {
        let slot = slot(port_id, queue)?;
        let failed = map("put a socket into", Map::SOCKETS.name);
        self.maps.sockets.set(slot, socket, 0).map_err(failed)
    }

    /// Has the program use the sockets of all queues of `port`.
    ///
    /// # Errors
    /// When there are more than the limit, or the kernel refuses.
    pub fn serve_queues(&mut self, port: &PortAttach) -> Result<(), SteerError> {
        port.check()?;
        self.maps.set_port(port.ifindex, Port::new(port.port_id, port.queues))
    }

    /// Takes the socket of a port's receive queue away; there need not be one.
    ///
    /// # Errors
    /// When port or queue are beyond the limits.
    pub fn clear_socket(&mut self, port_id: u8, queue: u32) -> Result<(), SteerError> {
        let slot = slot(port_id, queue)?;
        let failed = map("take a socket out of", Map::SOCKETS.name);
        self.maps.sockets.unset(slot).map_err(failed)
    }

    /// Steers to us what `steering` says, and goes on with what was steered before. Call it after
    /// the workers have adopted the tables that go with it. Says how many entries changed.
    ///
    /// # Errors
    /// When a map is full, or the kernel refuses; entries written until then stay.
    pub fn add(&mut self, steering: &Steering) -> Result<usize, SteerError> {
        let wanted = Entries::from(steering);
        // Addresses last: a shared one without its ranges passes, and so does a backend.
        let ranges = self.maps.ranges.add(&wanted.ranges)?;
        let backends = self.maps.nat_backends.add(&wanted.nat_backends)?;
        Ok(ranges + backends + self.maps.addresses.add(&wanted.addresses)?)
    }

    /// Stops steering what `steering` does not say, also what an earlier process left. Call it
    /// before the workers adopt tables that lack it. Says how many entries changed.
    ///
    /// # Errors
    /// When the kernel refuses; entries removed until then are gone.
    pub fn retain_only(&mut self, steering: &Steering) -> Result<usize, SteerError> {
        let wanted = Entries::from(steering);
        let addresses = self.maps.addresses.retain_only(&wanted.addresses)?;
        let backends = self.maps.nat_backends.retain_only(&wanted.nat_backends)?;
        Ok(addresses + backends + self.maps.ranges.retain_only(&wanted.ranges)?)
    }

    /// The counters of the program since its maps were made, by name, summed over the CPUs.
    ///
    /// # Errors
    /// When the kernel refuses to read them.
    pub fn verdicts(&self) -> Result<Vec<(&'static str, u64)>, SteerError> {
        self.maps.verdicts()
    }

    /// Takes the program off the ports and removes all that is pinned, as [`detach()`] does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach(self) -> Result<usize, SteerError> {
        let Self { pin_dir, lock: _lock, .. } = self;
        detach::remove(&pin_dir)
    }
}

impl fmt::Debug for Steer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steer")
            .field("pin_dir", &self.pin_dir)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
