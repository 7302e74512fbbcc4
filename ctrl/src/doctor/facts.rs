use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource, getrlimit};

use crate::api_types::Status;
use crate::commands::host;
use crate::compile::{Compiled, Compiler, host_conflicts};
use crate::desired::Desired;
use crate::memory::memory;
use crate::netlink::{self, Details};
use crate::problem::Problem;
use crate::steer::{self, bpffs};
use crate::topology::{Link, Topology};

/// `AF_XDP` of linux/socket.h.
const AF_XDP: u16 = 44;

/// What a configuration wants, and what it comes to on this host.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What the operator wants.
    pub desired: Desired,
    /// What it comes to; `None` when it does not fit this host.
    pub compiled: Option<Compiled>,
    /// What is wrong with it, warnings included.
    pub problems: Vec<Problem>,
}

/// Where the steering program is pinned.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// The directory.
    pub dir: PathBuf,
    /// Why a start could not pin there.
    pub refused: Option<String>,
    /// It lies on a bpffs already; else a start mounts one.
    pub mounted: bool,
    /// Interface and program of each pinned link; `None` when they cannot be read.
    pub programs: Option<Vec<(u32, u32)>>,
}

/// The kernel and what this process may do.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// Release of the kernel, as `uname -r` prints it.
    pub release: String,
    /// Why there are no AF_XDP sockets.
    pub af_xdp: Option<Errno>,
    /// Type information of the kernel is there.
    pub btf: bool,
    /// BPF programs are compiled.
    pub jit: Option<bool>,
    /// Capabilities in force for this process.
    pub capabilities: CapsHashSet,
    /// Memory that may be locked, in bytes; `None` without limit.
    pub memlock: Option<u64>,
    /// Huge pages of 2 MiB: reserved, and of those free.
    pub huge_pages: Option<(u64, u64)>,
    /// Families in which this host forwards: IPv4, IPv6; `None` when that cannot be read.
    pub forwards: [Option<bool>; 2],
    /// The clock that the kernel reads.
    pub clocksource: Option<String>,
    /// Seconds since 1970.
    pub now: u64,
    /// NUMA node of each core, where there are several.
    pub core_nodes: HashMap<usize, i32>,
}

/// Everything that is looked at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The kernel and our rights.
    pub system: System,
    /// Links, addresses, routes, neighbours.
    pub topology: Topology,
    /// Links, looked at closely.
    pub links: BTreeMap<u32, Details>,
    /// NUMA node and driver of hardware, by name.
    pub hardware: BTreeMap<String, Hardware>,
    /// The configuration, when there is one that can be read.
    pub wanted: Option<Wanted>,
    /// The pins.
    pub pins: Pins,
    /// What the running gateway says; `None` when none answers.
    pub status: Option<Status>,
}

/// What sysfs says of an interface's hardware.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Its driver.
    pub driver: Option<String>,
    /// Its NUMA node; `None` when it belongs to none.
    pub node: Option<i32>,
}

impl Facts {
    /// Looks at this host, in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel does not tell of its interfaces.
    pub fn gather(
        desired: Option<(Desired, Vec<Problem>)>,
        pin_dir: &Path,
        status: Option<Status>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (topology, links) = runtime
            .block_on(async {
                let topology = netlink::snapshot().await?;
                anyhow::Ok((topology, netlink::details().await?))
            })
            .context("cannot read this host's interfaces and routes")?;
        let wanted = desired.map(|(desired, warnings)| Wanted::on(&topology, desired, warnings));
        let hardware = topology.links.iter().map(|link| (link.name.clone(), hardware(link)));
        Ok(Self {
            system: System::look(),
            hardware: hardware.collect(),
            wanted,
            pins: Pins::look(pin_dir),
            status,
            topology,
            links,
        })
    }

    /// The links that are ports, by name in the order of the configuration; `None` for one that is
    /// not there. Without a configuration, those of the running gateway.
    pub fn ports(&self) -> Vec<(String, Option<&Link>)> {
        let names: Vec<String> = match (&self.wanted, &self.status) {
            (Some(wanted), _) => {
                wanted.desired.ports.iter().map(|p| p.name.value.clone()).collect()
            }
            (None, Some(status)) => status.ports.iter().map(|port| port.name.clone()).collect(),
            (None, None) => Vec::new(),
        };
        names.into_iter().map(|name| (name.clone(), self.topology.link(&name))).collect()
    }

    /// Packet memory that the configuration takes, in bytes.
    pub fn packet_memory(&self) -> u64 {
        let Some(wanted) = &self.wanted else { return 0 };
        let facts = crate::commands::check::facts(&wanted.desired, Some(&self.topology));
        memory(&wanted.desired, facts).frames as u64
    }
}

impl Wanted {
    fn on(topology: &Topology, desired: Desired, mut problems: Vec<Problem>) -> Self {
        let compiled = match Compiler::new().compile(&desired, topology, Duration::ZERO) {
            Ok(compiled) => {
                problems.extend(host_conflicts(&desired, &compiled, &host::facts(&desired)));
                problems.extend(compiled.warnings.clone());
                Some(compiled)
            }
            Err(errors) => {
                problems.extend(errors);
                None
            }
        };
        Self { desired, compiled, problems }
    }
}

impl Pins {
    fn look(dir: &Path) -> Self {
        let refused = bpffs::refuse_private(dir).err().map(|error| error.to_string());
        let mounted = bpffs::require(dir).is_ok();
        let programs = if dir.exists() { steer::pinned_programs(dir).ok() } else { Some(vec![]) };
        Self { dir: dir.to_owned(), refused, mounted, programs }
    }
}

impl System {
    fn look() -> Self {
        let xdp = AddressFamily::from_raw(AF_XDP);
        let text = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let huge = |file: &str| {
            text(&format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{file}"))?.parse().ok()
        };
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            af_xdp: socket_with(xdp, SocketType::RAW, SocketFlags::CLOEXEC, None).err(),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            jit: text("/proc/sys/net/core/bpf_jit_enable").map(|value| value != "0"),
            capabilities: caps::read(None, CapSet::Effective).unwrap_or_default(),
            memlock: getrlimit(Resource::Memlock).current,
            huge_pages: huge("nr_hugepages").zip(huge("free_hugepages")),
            forwards: ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
                .map(|file| text(&format!("/proc/sys/net/{file}")).map(|value| value != "0")),
            clocksource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            now: since_1970.unwrap_or_default().as_secs(),
            core_nodes: core_nodes(),
        }
    }

    /// Whether a process with these rights may.
    pub fn may(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

fn core_nodes() -> HashMap<usize, i32> {
    let mut nodes = HashMap::new();
    let Ok(cores) = fs::read_dir("/sys/devices/system/cpu") else { return nodes };
    for core in cores.flatten() {
        let name = core.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
        let (Some(number), Ok(entries)) = (number, fs::read_dir(core.path())) else { continue };
        let node = entries.flatten().find_map(|entry| {
            entry.file_name().to_str()?.strip_prefix("node")?.parse::<i32>().ok()
        });
        nodes.extend(node.map(|node| (number, node)));
    }
    nodes
}

/// sysfs shows the network namespace of whoever mounted it: what it says of another interface of
/// the same name is left out.
fn hardware(link: &Link) -> Hardware {
    let dir = Path::new("/sys/class/net").join(&link.name);
    let text = |file: &str| fs::read_to_string(dir.join(file)).ok();
    let says = |file: &str, value: &str| text(file).is_some_and(|text| text.trim() == value);
    if !says("ifindex", &link.ifindex.to_string()) || !says("address", &link.mac.to_string()) {
        return Hardware::default();
    }
    let driver = fs::read_link(dir.join("device/driver")).ok();
    let driver = driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let node = text("device/numa_node").and_then(|text| text.trim().parse().ok());
    Hardware { driver, node: node.filter(|node| *node >= 0) }
}
