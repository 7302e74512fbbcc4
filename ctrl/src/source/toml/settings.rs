use std::ops::Range;
use std::path::PathBuf;

use dataplane::tables::Timeouts;
use toml::de::DeTable;

use super::item::Item;
use super::section::Section;
use super::{Reader, keys, value};
use crate::desired::{
    Gateway, Located, LogFormat, MaglevSettings, PollMode, PortSettings, SnatSettings, VipsAtStart,
    WorkerSettings, XdpMode,
};

/// Workers: a class of flows for each must fit into a byte, and few have so many cores to give.
const WORKERS: std::ops::RangeInclusive<u64> = 1..=64;
/// Flow table entries that a worker can hold: ids in its indexes are 26 bits wide.
const FLOWS: std::ops::RangeInclusive<u64> = 1..=1 << 26;
/// Slots of a ring: less than a burst is no use, more than 32 Ki the kernel refuses.
const RING: std::ops::RangeInclusive<u64> = 64..=32_768;
/// Frames of 2 or 4 KiB each: 2 MiB to 16 GiB.
const FRAMES: std::ops::RangeInclusive<u64> = 1_024..=1 << 22;
/// How long a released address may still be forwarded, in milliseconds.
const LINGER: std::ops::RangeInclusive<u64> = 0..=3_600_000;
/// The kernel's limit for the name of an interface, in bytes (IFNAMSIZ less the final zero).
const INTERFACE_NAME_MAX: usize = 15;

/// The kernel's limit for the path of a socket, in bytes (`sun_path` less the final zero).
const SOCKET_PATH_MAX: usize = 107;

pub fn gateway(top: &Section<'_, '_>) -> Gateway {
    let mut gateway = Gateway::default();
    let Some(section) = top.sub("gateway", keys::GATEWAY) else { return gateway };
    if let Some(name) = section.read("name", name) {
        gateway.name = name.value;
    }
    if let Some(api) = section.read("api", socket_path) {
        gateway.api = api;
    }
    if let Some(pin_dir) = section.read("pin_dir", value::path) {
        gateway.pin_dir = pin_dir;
    }
    gateway.metrics = section.read("metrics", value::socket);
    let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
    let vips = [("held", VipsAtStart::Held), ("released", VipsAtStart::Released)];
    gateway.vips_at_start =
        section.read("vips_at_start", |item| item.word(&vips)).unwrap_or_default();
    if let Some(linger) = section.read("linger", |item| value::time(item, LINGER)) {
        gateway.linger = linger;
    }
    gateway.log = section.read("log", |item| item.word(&formats)).unwrap_or_default();
    gateway
}

/// A path that the kernel can bind a socket to.
fn socket_path(item: &Item<'_, '_>) -> Option<PathBuf> {
    let path = value::path(item)?;
    let length = path.as_os_str().len();
    if length <= SOCKET_PATH_MAX {
        return Some(path);
    }
    let what = format!("{} is a path of {length} bytes, too long for a socket", item.name);
    item.wrong(what, format!("write one of {SOCKET_PATH_MAX} bytes at most"));
    None
}

pub fn worker(top: &Section<'_, '_>) -> WorkerSettings {
    let mut worker = WorkerSettings::default();
    let Some(section) = top.sub("worker", keys::WORKER) else { return worker };
    if let Some(count) = section.read("count", |item| item.integer(WORKERS)) {
        worker.count = count as usize;
    }
    if let Some(cores) = section.read("cores", |item| cores(item, worker.count)) {
        worker.cores = cores;
    }
    let modes = [
        ("adaptive", PollMode::Adaptive),
        ("busy", PollMode::Busy),
        ("interrupt", PollMode::Interrupt),
    ];
    worker.poll = section.read("poll", |item| item.word(&modes)).unwrap_or_default();
    if let Some(flows) = section.read("flows", |item| item.integer(FLOWS)) {
        worker.flows = flows as u32;
    }
    if let Some(ring) = section.read("ring", ring) {
        worker.ring = ring;
    }
    if let Some(frames) = section.read("frames", |item| item.integer(FRAMES)) {
        worker.frames = frames as u32;
    }
    if worker.frames < 2 * worker.ring {
        let at = section.item("frames").or_else(|| section.item("ring"));
        if let Some(item) = at {
            item.wrong(
                format!(
                    "{} frames cannot fill two rings of {} slots (rx and tx)",
                    worker.frames, worker.ring
                ),
                format!("write frames = {} or more, or a smaller ring", 2 * worker.ring),
            );
        }
    }
    worker
}

/// One core for each worker, each once.
fn cores(item: &Item<'_, '_>, workers: usize) -> Option<Located<Vec<usize>>> {
    let listed = item.list("[2, 3]")?;
    let cores: Vec<_> = listed.iter().filter_map(|item| item.integer(0..=4_095)).collect();
    let twice = (1..cores.len()).find(|at| cores[..*at].contains(&cores[*at]));
    if let Some(at) = twice {
        let what = format!("core {} is listed twice", cores[at]);
        item.wrong(what, "give each worker a core of its own, or none");
        return None;
    }
    if cores.len() != workers {
        let what = format!("{} cores for {workers} workers", cores.len());
        item.wrong(what, "list one core for each worker, or leave `cores` out");
        return None;
    }
    Some(item.located(cores.into_iter().map(|core| core as usize).collect()))
}

fn ring(item: &Item<'_, '_>) -> Option<u32> {
    let slots = item.integer(RING)?;
    if slots.is_power_of_two() {
        return Some(slots as u32);
    }
    let what = format!("{} is {slots}, which is not a power of two", item.name);
    item.wrong(
        what,
        format!("write {} or {}", slots.next_power_of_two() / 2, slots.next_power_of_two()),
    );
    None
}

pub fn maglev(top: &Section<'_, '_>) -> MaglevSettings {
    let mut maglev = MaglevSettings::default();
    let Some(section) = top.sub("maglev", keys::MAGLEV) else { return maglev };
    if let Some(size) = section.read("table_size", value::table_size) {
        maglev.table_size = size;
    }
    if let Some(seeds) = section.read("seed", value::seed) {
        maglev.seeds = seeds;
    }
    maglev
}

pub fn snat(top: &Section<'_, '_>) -> SnatSettings {
    let mut snat = SnatSettings::default();
    let Some(section) = top.sub("snat", keys::SNAT) else { return snat };
    snat.addresses = section.read("addresses", value::addresses).unwrap_or_default();
    if let Some(ports) = section.read("ports", value::span) {
        snat.ports = ports;
    }
    if let Some(ports) = section.read("shared_ports", value::span) {
        snat.shared_ports = ports;
    }
    snat
}

pub fn timeouts(top: &Section<'_, '_>) -> Timeouts {
    let default = Timeouts::default();
    let Some(section) = top.sub("timeouts", keys::TIMEOUTS) else { return default };
    let read = |key, default| section.read(key, value::duration).unwrap_or(default);
    Timeouts {
        tcp_syn: read("tcp_syn", default.tcp_syn),
        tcp_established: read("tcp_established", default.tcp_established),
        tcp_fin: read("tcp_fin", default.tcp_fin),
        udp: read("udp", default.udp),
    }
}

/// Decodes one port. One whose name is bad stays, nameless, so that nobody says that it is missing.
pub fn port(reader: &Reader, table: &DeTable<'_>, span: Range<usize>) -> PortSettings {
    let mut section = Section::open(reader, table, span, "[[port]]", keys::PORT);
    let name = section.need("name", "\"ens5\"", interface);
    if let Some(name) = &name {
        section.rename(format!("[[port]] \"{}\"", name.value));
    }
    let modes = [("auto", XdpMode::Auto), ("native", XdpMode::Native), ("skb", XdpMode::Skb)];
    let mode = section.read("mode", |item| item.word(&modes)).unwrap_or_default();
    let name = name.unwrap_or_else(|| Located::nowhere(String::new()));
    PortSettings { name, mode }
}

/// The name of an interface, as the kernel allows it.
pub fn interface(item: &Item<'_, '_>) -> Option<Located<String>> {
    let text = item.text("\"ens5\"")?;
    let allowed = |c: char| !c.is_whitespace() && c != '/' && c != ':';
    if text.is_empty() || text.len() > INTERFACE_NAME_MAX || !text.chars().all(allowed) {
        let what = format!("{} is \"{text}\", which no interface can be called", item.name);
        item.wrong(what, "write a name as `ip link` shows it, for example \"ens5\"");
        return None;
    }
    Some(item.located(text.to_owned()))
}

/// A name for people, metrics and URLs.
pub fn name(item: &Item<'_, '_>) -> Option<Located<String>> {
    let text = item.text("\"svc1\"")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if text.is_empty() || text.len() > 253 || !text.chars().all(allowed) {
        let what = format!("{} is \"{text}\", which cannot be a name", item.name);
        item.wrong(what, "use letters, digits, `.`, `_`, `-` and `/`, 1 to 253 of them");
        return None;
    }
    Some(item.located(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::source::toml::load;

    #[test]
    fn a_socket_path_that_the_kernel_cannot_bind_is_refused() {
        let too_long = |length: usize| {
            let path = format!("/{}", "a".repeat(length - 1));
            let problems = load("t", &format!("[gateway]\napi = \"{path}\"\n")).unwrap_err();
            problems.iter().any(|problem| problem.what.contains("too long for a socket"))
        };
        assert!(!too_long(107));
        assert!(too_long(108));
    }
}
