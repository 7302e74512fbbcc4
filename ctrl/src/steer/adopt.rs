use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use portreeve_bpf_abi::{Instance, LAYOUT, Map, Mode, PROGRAM, Port};

use super::OBJECT;
use super::error::{SteerError, io};
use super::link::{self, Pinned};
use super::maps::{self, Maps};
use super::port::{PortAttach, PortAttached};

/// What became of what an earlier process left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// No usable maps were there: all is new.
    Fresh,
    /// Maps were there, but another program or not every port: the maps stay, the program is
    /// loaded and put into the links in place.
    Replaced,
    /// Everything was there, as this process would have made it.
    Adopted,
}

/// Maps, ports and how they came to be.
pub(super) struct Adopted {
    pub(super) maps: Maps,
    pub(super) ports: Vec<PortAttached>,
    pub(super) start: Start,
}

/// Brings program, maps and links of `dir` to where they belong.
pub(super) fn adopt(dir: &Path, ports: &[PortAttach]) -> Result<Adopted, SteerError> {
    let us = Instance { layout: LAYOUT, program: 0, object: object_hash(), netns: netns()? };
    let left = maps::instance(dir)?;
    let links = link::pinned(dir)?;
    if let Some(left) = left
        && left.netns != us.netns
        && links.iter().any(Pinned::is_alive)
    {
        return Err(SteerError::ForeignNetns { path: dir.into(), netns: left.netns });
    }
    let held = hold(ports, links)?;
    match left {
        Some(left) if left.object == us.object && all_run(&held, left.program) => {
            settle(dir, ports, &held)
        }
        Some(_) => load(dir, ports, held, us, Start::Replaced),
        None => {
            maps::discard(dir)?;
            load(dir, ports, held, us, Start::Fresh)
        }
    }
}

/// For each port the link that it can keep. Discards the other links: of devices that are gone
/// or no longer ours, and of ports that want another mode.
fn hold(ports: &[PortAttach], links: Vec<Pinned>) -> Result<Vec<Option<Pinned>>, SteerError> {
    let mut held: Vec<Option<Pinned>> = ports.iter().map(|_| None).collect();
    for link in links {
        let fits = |port: &PortAttach| port.ifindex == link.ifindex && port.mode.allows(link.mode);
        match ports.iter().position(fits) {
            Some(at) if held[at].is_none() => held[at] = Some(link),
            _ => link.discard()?,
        }
    }
    Ok(held)
}

fn all_run(held: &[Option<Pinned>], program: u32) -> bool {
    held.iter().all(|link| link.as_ref().is_some_and(|link| link.program == program))
}

/// Everything is in place. Loading the program again would take longer than all else at start.
fn settle(
    dir: &Path,
    ports: &[PortAttach],
    held: &[Option<Pinned>],
) -> Result<Adopted, SteerError> {
    let mut maps = Maps::open(dir)?;
    write_ports(&mut maps, ports)?;
    let mode_of = |link: &Option<Pinned>| link.as_ref().map(|link| link.mode);
    let attached = ports
        .iter()
        .zip(held)
        .filter_map(|(port, link)| Some(port.attached(mode_of(link)?, true)))
        .collect();
    Ok(Adopted { maps, ports: attached, start: Start::Adopted })
}

/// Loads the program over the maps that are pinned, or pins new ones; puts it into the links that
/// are held and attaches it to the other ports.
fn load(
    dir: &Path,
    ports: &[PortAttach],
    held: Vec<Option<Pinned>>,
    us: Instance,
    start: Start,
) -> Result<Adopted, SteerError> {
    let mut object = load_object(dir)?;
    let program = xdp(&mut object)?;
    let describe = |source| SteerError::Program { action: "describe it", source };
    let number = program.info().map_err(describe)?.id();
    let mut maps = Maps::open(dir)?;
    // Until all links run this program, the next process must not take it for granted.
    maps.claim(Instance { object: 0, ..us })?;
    write_ports(&mut maps, ports)?;
    let mut attached = Vec::with_capacity(ports.len());
    for (port, link) in ports.iter().zip(held) {
        let adopted = link.is_some();
        attached.push(port.attached(put(dir, program, port, link)?, adopted));
    }
    maps.claim(Instance { program: number, ..us })?;
    Ok(Adopted { maps, ports: attached, start })
}

fn put(
    dir: &Path,
    program: &mut Xdp,
    port: &PortAttach,
    held: Option<Pinned>,
) -> Result<Mode, SteerError> {
    match held {
        Some(link) => {
            let mode = link.mode;
            link.replace(program)?;
            Ok(mode)
        }
        None => link::attach(dir, program, port),
    }
}

fn load_object(dir: &Path) -> Result<Ebpf, SteerError> {
    let mut loader = EbpfLoader::new();
    // The program reads no kernel structures: relocating it against the kernel's BTF is in vain.
    loader.btf(None).verifier_log_level(VerifierLogLevel::STATS);
    for map in &Map::ALL {
        loader.map_pin_path(map.name, dir.join(map.name));
    }
    Ok(loader.load(OBJECT)?)
}

fn xdp(object: &mut Ebpf) -> Result<&mut Xdp, SteerError> {
    let refused = |source: ProgramError| SteerError::Program { action: "verify it", source };
    let found = object.program_mut(PROGRAM).ok_or(SteerError::NoProgram { name: PROGRAM })?;
    let program: &mut Xdp = found.try_into().map_err(refused)?;
    program.load().map_err(refused)?;
    Ok(program)
}

fn write_ports(maps: &mut Maps, ports: &[PortAttach]) -> Result<(), SteerError> {
    maps.retain_ports(|ifindex| ports.iter().any(|port| port.ifindex == ifindex))?;
    ports
        .iter()
        .try_for_each(|port| maps.set_port(port.ifindex, Port::new(port.port_id, port.queues)))
}

/// Tells one build's object from another's; never 0.
fn object_hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(OBJECT);
    hasher.finish() | 1
}

/// Inode number of the network namespace that this thread is in.
fn netns() -> Result<u64, SteerError> {
    let path = "/proc/thread-self/ns/net";
    Ok(std::fs::metadata(path).map_err(io("inspect", path))?.ino())
}
