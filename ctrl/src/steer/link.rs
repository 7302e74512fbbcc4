use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{Xdp, XdpMode, loaded_links};
use portreeve_bpf_abi::Mode;
use rustix::io::Errno;

use super::PortAttach;
use super::error::{SteerError, io};

/// Pins of links are named after the interface's index and the mode: names of interfaces change,
/// and the dots that they may have are refused by bpffs; the mode cannot be read from the link.
const PREFIX: &str = "link_";

/// A link that an earlier process pinned.
#[derive(Debug)]
pub(super) struct Pinned {
    path: PathBuf,
    link: FdLink,
    id: u32,
    /// The kernel's number of the program that runs.
    pub(super) program: u32,
    /// Index of the interface; 0 when that is gone.
    pub(super) ifindex: u32,
    /// How it is attached.
    pub(super) mode: Mode,
}

impl Pinned {
    /// Whether its interface is still there.
    pub(super) fn is_alive(&self) -> bool {
        self.ifindex != 0
    }

    fn open(path: PathBuf) -> Result<Self, SteerError> {
        let failed = |action| {
            let path = path.clone();
            move |source| SteerError::Link { action, path, source }
        };
        let link = FdLink::from(PinnedLink::from_pin(&path).map_err(failed("open"))?);
        let info = link.info().map_err(failed("inspect"))?;
        let ifindex = ifindex_of(info.id())?;
        let mode = mode_of(&path);
        Ok(Self { link, id: info.id(), program: info.program_id(), ifindex, mode, path })
    }

    /// Lets the interface run `program` from now on, without a moment in between.
    pub(super) fn replace(self, program: &mut Xdp) -> Result<(), SteerError> {
        let Self { path, link, .. } = self;
        let wrong = |source| SteerError::Link { action: "use", path, source };
        let link = link.try_into().map_err(wrong)?;
        let link = program.attach_to_link(link).map_err(|source| SteerError::Program {
            action: "replace the program of a pinned link",
            source,
        })?;
        // Dropping it closes a file descriptor; the pin holds the link.
        program
            .take_link(link)
            .map(drop)
            .map_err(|source| SteerError::Program { action: "let go of a pinned link", source })
    }

    /// Removes the pin and waits until the kernel has let go of the interface: it does so on its
    /// own time, and until then nothing else can be attached.
    pub(super) fn discard(self) -> Result<(), SteerError> {
        let Self { path, link, id, .. } = self;
        fs::remove_file(&path).map_err(io("remove", &path))?;
        drop(link);
        // The kernel tells nobody when a link is gone, so it has to be asked.
        for _ in 0..1_000 {
            if !loaded_links().any(|found| found.is_ok_and(|found| found.id() == id)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(SteerError::StillAttached { path })
    }
}

/// Every pinned link of `dir`.
pub(super) fn pinned(dir: &Path) -> Result<Vec<Pinned>, SteerError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io("list", dir))? {
        let entry = entry.map_err(io("list", dir))?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(Pinned::open(entry.path())?);
        }
    }
    Ok(found)
}

/// Attaches `program` to a port and pins the link. Says in which mode.
pub(super) fn attach(dir: &Path, program: &mut Xdp, port: &PortAttach) -> Result<Mode, SteerError> {
    let modes = port.mode.candidates();
    let mut refused = None;
    for &mode in modes {
        match attach_as(dir, program, port, mode) {
            Ok(()) => return Ok(mode),
            Err(error) => refused = Some(refused.unwrap_or(error)),
        }
    }
    Err(refused.expect("a port has at least one candidate mode"))
}

fn attach_as(
    dir: &Path,
    program: &mut Xdp,
    port: &PortAttach,
    mode: Mode,
) -> Result<(), SteerError> {
    let refused =
        |source| SteerError::Attach { port: port.name.clone(), mode: mode.name(), source };
    let flags = match mode {
        Mode::Native => XdpMode::Driver,
        Mode::Skb => XdpMode::Skb,
    };
    let path = dir.join(format!("{PREFIX}{}_{}", port.ifindex, mode.name()));
    let wrong = |source| SteerError::Link { action: "pin", path: path.clone(), source };
    let link = program.attach_to_if_index(port.ifindex, flags).map_err(refused)?;
    let link: FdLink = program.take_link(link).map_err(refused)?.try_into().map_err(wrong)?;
    link.pin(&path)
        .map(drop)
        .map_err(|error| io("pin a link at", &path)(std::io::Error::other(error)))
}

fn mode_of(path: &Path) -> Mode {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(Mode::Skb.name()) { Mode::Skb } else { Mode::Native }
}

/// The interface of a link, from what /proc says about our own descriptors of it: aya reads the
/// link's number, but not its interface.
fn ifindex_of(link: u32) -> Result<u32, SteerError> {
    let dir = "/proc/self/fdinfo";
    for entry in fs::read_dir(dir).map_err(io("list", dir))? {
        let path = entry.map_err(io("list", dir))?.path();
        // A descriptor that another thread closed meanwhile is not the one.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if field(&text, "link_id:") == Some(link) {
            return Ok(field(&text, "ifindex:").unwrap_or(0));
        }
    }
    Err(io("find our link in", dir)(Errno::NOENT.into()))
}

fn field(fdinfo: &str, name: &str) -> Option<u32> {
    fdinfo.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_pin_says_the_mode() {
        assert_eq!(mode_of(Path::new("/x/link_3_skb")), Mode::Skb);
        assert_eq!(mode_of(Path::new("/x/link_3_native")), Mode::Native);
    }

    #[test]
    fn reads_the_interface_of_a_link() {
        let text =
            "pos:\t0\nflags:\t02000000\nlink_type:\txdp\nlink_id:\t7\nprog_id:\t12\nifindex:\t3\n";
        assert_eq!(field(text, "link_id:"), Some(7));
        assert_eq!(field(text, "ifindex:"), Some(3));
        assert_eq!(field(text, "mnt:"), None);
    }
}
