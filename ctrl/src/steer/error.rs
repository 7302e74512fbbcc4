use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::programs::links::LinkError;

/// What can go wrong with the steering program, its maps and its pins.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// Pins only live on a bpffs.
    #[error(
        "{} is not on a bpffs, so that nothing is or can be pinned there; /sys/fs/bpf is the usual \
         place for one: mount -t bpf bpf /sys/fs/bpf", path.display()
    )]
    NotBpffs {
        /// The pin directory.
        path: PathBuf,
    },
    /// The bpffs goes away with this process, and the steering program with it.
    #[error(
        "the bpffs of {} is seen in this mount namespace only: its pins would be gone with the \
         process; mount it outside, or allow it expressly", path.display()
    )]
    PrivateMount {
        /// The pin directory.
        path: PathBuf,
    },
    /// Another process holds the pin directory.
    #[error(
        "{} is in use by a running instance; stop that one, or choose another directory",
        path.display()
    )]
    InUse {
        /// The pin directory.
        path: PathBuf,
    },
    /// The pins steer the interfaces of another network namespace.
    #[error(
        "{} steers interfaces of another network namespace (inode {netns}); detach there first, \
         or choose another directory", path.display()
    )]
    ForeignNetns {
        /// The pin directory.
        path: PathBuf,
        /// Inode number of that namespace.
        netns: u64,
    },
    /// More than the maps have room for.
    #[error("port number {port_id}: {count} {what}, but the steering program has room for {max}")]
    NoSlot {
        /// Our number of the port.
        port_id: u8,
        /// What there is too much of.
        what: &'static str,
        /// How many it would take.
        count: u32,
        /// How many there can be.
        max: u32,
    },
    /// The kernel refused the object.
    #[error("load the steering program")]
    Object(#[from] EbpfError),
    /// The object is not what this program was built for.
    #[error("load the steering program: the object has no XDP program `{name}`")]
    NoProgram {
        /// The name looked for.
        name: &'static str,
    },
    /// The verifier refused the program, or the kernel its description.
    #[error("load the steering program: {action}")]
    Program {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: ProgramError,
    },
    /// An interface did not take the program.
    #[error("attach the steering program to port {port} in {mode} mode")]
    Attach {
        /// Name of the interface.
        port: String,
        /// `native` or `skb`.
        mode: &'static str,
        /// The kernel's answer.
        source: ProgramError,
    },
    /// A pinned link could not be used.
    #[error("{action} the pinned link {}", path.display())]
    Link {
        /// What was tried.
        action: &'static str,
        /// The pin.
        path: PathBuf,
        /// The kernel's answer.
        source: LinkError,
    },
    /// The kernel did not let go of an interface.
    #[error("the kernel still holds the link of {} a second after its pin was removed", path.display())]
    StillAttached {
        /// The pin that is gone.
        path: PathBuf,
    },
    /// A map could not be read or written.
    #[error("{action} the map `{map}`")]
    Map {
        /// What was tried.
        action: &'static str,
        /// Name of the map.
        map: &'static str,
        /// The kernel's answer.
        source: MapError,
    },
    /// A file operation failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Turns an answer of the file system into an error that names the file.
pub(super) fn io(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> SteerError {
    let path = path.into();
    move |source| SteerError::Io { action, path, source }
}

/// Turns an answer about a map into an error that names the map.
pub(super) fn map(action: &'static str, map: &'static str) -> impl Fn(MapError) -> SteerError {
    move |source| SteerError::Map { action, map, source }
}
