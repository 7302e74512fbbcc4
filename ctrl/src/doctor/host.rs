use caps::Capability;

use super::{Facts, Finding};

/// AF_XDP takes packets of several buffers from here on; sockets are bound so.
const KERNEL_LEAST: (u32, u32) = (6, 6);
/// What a start needs.
const NEEDED: [Capability; 5] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_ADMIN,
];
/// 2025: nothing of ours is older.
const NOT_BEFORE: u64 = 1_735_689_600;

pub(super) fn examine(facts: &Facts, found: &mut Vec<Finding>) {
    kernel(facts, found);
    rights(facts, found);
    pins(facts, found);
    clock(facts, found);
}

fn kernel(facts: &Facts, found: &mut Vec<Finding>) {
    let system = &facts.system;
    let release = &system.release;
    match version(release) {
        Some(version) if version < KERNEL_LEAST => found.push(Finding::error(
            "kernel_old",
            format!("kernel {release}: AF_XDP sockets for packets of several buffers need 6.6"),
            "boot a kernel of 6.6 or newer",
        )),
        _ => found.push(Finding::fine("kernel", format!("kernel {release}"))),
    }
    match system.af_xdp {
        None => found.push(Finding::fine("af_xdp", "AF_XDP sockets can be made")),
        Some(error) => found.push(Finding::error(
            "af_xdp",
            format!("no AF_XDP socket can be made: {error}"),
            "run as root; if that does not help, the kernel lacks CONFIG_XDP_SOCKETS",
        )),
    }
    if !system.btf {
        found.push(Finding::warning(
            "btf",
            "the kernel tells no types (/sys/kernel/btf/vmlinux is missing)",
            "use a kernel with CONFIG_DEBUG_INFO_BTF: old tools show more of the program then",
        ));
    }
    if system.jit == Some(false) {
        found.push(Finding::warning(
            "bpf_jit",
            "BPF programs are interpreted: steering takes many times as long",
            "run `sysctl -w net.core.bpf_jit_enable=1`",
        ));
    }
}

/// Major and minor number.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn rights(facts: &Facts, found: &mut Vec<Finding>) {
    let system = &facts.system;
    let lacking: Vec<String> = NEEDED
        .into_iter()
        .filter(|capability| !system.may(*capability))
        .map(|capability| capability.to_string())
        .collect();
    if lacking.is_empty() {
        found.push(Finding::fine("capabilities", "every capability that a start needs is held"));
    } else {
        found.push(Finding::warning(
            "capabilities",
            format!(
                "this process lacks {}: a start like this is refused, and less is seen",
                lacking.join(" ")
            ),
            "run as root, or give the unit these capabilities (deploy/portreeve.service)",
        ));
    }
    let needed = facts.packet_memory();
    let may_lock = system.may(Capability::CAP_SYS_RESOURCE) || system.may(Capability::CAP_IPC_LOCK);
    match system.memlock {
        Some(limit) if limit < needed && !may_lock => found.push(Finding::error(
            "memlock",
            format!("{limit} bytes may be locked, and packet memory takes {needed}"),
            "set LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited`",
        )),
        _ => found.push(Finding::fine("memlock", "packet memory can be locked")),
    }
    if let Some((reserved, free)) = system.huge_pages {
        let says = match reserved {
            0 => "no huge pages are reserved: packet memory lies in small ones (vm.nr_hugepages)"
                .to_owned(),
            _ => format!("{reserved} huge pages of 2 MiB are reserved, {free} are free"),
        };
        found.push(Finding::fine("huge_pages", says));
    }
}

fn pins(facts: &Facts, found: &mut Vec<Finding>) {
    let dir = facts.pins.dir.display();
    match &facts.pins.refused {
        None if facts.pins.mounted => {
            found.push(Finding::fine("bpffs", format!("{dir} is on a bpffs that stays")));
        }
        None => found.push(Finding::fine("bpffs", format!("a start mounts a bpffs for {dir}"))),
        Some(why) => found.push(Finding::error(
            "bpffs",
            why,
            "mount one outside of any private mount namespace: `mount -t bpf bpf /sys/fs/bpf`; in a unit, without PrivateMounts, ProtectSystem and PrivateTmp",
        )),
    }
}

fn clock(facts: &Facts, found: &mut Vec<Finding>) {
    let system = &facts.system;
    match system.clocksource.as_deref() {
        Some(slow @ ("hpet" | "acpi_pm" | "jiffies")) => found.push(Finding::warning(
            "clocksource",
            format!("the kernel reads its time from {slow}: every turn of a worker pays for it"),
            "find out why tsc is not used: `dmesg | grep -i tsc`",
        )),
        Some(good) => found.push(Finding::fine("clocksource", format!("clock source {good}"))),
        None => {}
    }
    if system.now < NOT_BEFORE {
        found.push(Finding::warning(
            "clock_wrong",
            "the clock says that it is before 2025: logs and leases are of no use",
            "set it, and keep it right by NTP",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn ids(facts: &Facts, severity: Severity) -> Vec<String> {
        let mut found = Vec::new();
        examine(facts, &mut found);
        found.into_iter().filter(|f| f.severity == severity).map(|f| f.id).collect()
    }

    #[test]
    fn a_host_that_lacks_everything_is_told_of_everything() {
        let mut facts = Facts::default();
        facts.system.release = "5.15.0-91-generic".into();
        facts.system.af_xdp = Some(rustix::io::Errno::AFNOSUPPORT);
        facts.system.jit = Some(false);
        facts.system.clocksource = Some("hpet".into());
        facts.pins.refused = Some("/x is not on a bpffs".into());
        assert_eq!(ids(&facts, Severity::Error), ["kernel_old", "af_xdp", "bpffs"]);
        let warnings = ids(&facts, Severity::Warning);
        assert_eq!(warnings, ["btf", "bpf_jit", "capabilities", "clocksource", "clock_wrong"]);
    }

    #[test]
    fn reads_the_version_of_a_kernel() {
        assert_eq!(version("6.18.44"), Some((6, 18)));
        assert_eq!(version("6.6-rc1"), Some((6, 6)));
        assert_eq!(version("custom"), None);
    }
}
