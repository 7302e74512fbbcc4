//! What a run was made on, and of which commit. Nothing here fails: a figure from a machine that
//! hides its name is still a figure. What is not known reads `unknown`, or 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::report::model::Machine;

/// Said of what cannot be found out.
const UNKNOWN: &str = "unknown";
const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// Every processor shares the last level with its neighbours; the first one's will do.
const CACHES: &str = "/sys/devices/system/cpu/cpu0/cache";

/// The machine that we run on.
#[must_use]
pub fn here() -> Machine {
    let cpuinfo = read(Path::new("/proc/cpuinfo"));
    let meminfo = read(Path::new("/proc/meminfo"));
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Machine {
        cpu: cpu_name(&cpuinfo),
        cores: cpuinfo.lines().filter(|line| key(line) == "processor").count(),
        memory: kibibytes(&meminfo, "MemTotal") * 1024,
        kernel: release,
        virtual_machine: is_virtual(&cpuinfo),
        huge_pages: huge_pages(&read(Path::new(THP)), &meminfo),
        last_level_cache: last_level_cache(Path::new(CACHES)),
    }
}

/// The commit of the workspace that this program was built from: the hash, with `+changes` when
/// files under version control differ from it. `unknown` without git or outside a repository.
#[must_use]
pub fn commit() -> String {
    commit_in(&workspace())
}

/// Below `cargo run` the directory is the one of now; a copied program knows where it was built.
fn workspace() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR");
    let own = own.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    // bench/ lies directly below the top.
    Path::new(&own).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn commit_in(dir: &Path) -> String {
    let Some(hash) = git(dir, &["rev-parse", "HEAD"]) else { return UNKNOWN.to_owned() };
    // New files that nothing names change no build; reports written into the tree are such files.
    match git(dir, &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => hash,
        _ => hash + "+changes",
    }
}

fn git(dir: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(words).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn key(line: &str) -> &str {
    line.split(':').next().unwrap_or_default().trim()
}

/// The value of the first line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| key(line) == name)?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn cpu_name(cpuinfo: &str) -> String {
    // Arm cores do not say their name in words.
    let name = value(cpuinfo, "model name").filter(|name| !name.is_empty());
    name.map_or_else(|| format!("{UNKNOWN} ({})", std::env::consts::ARCH), str::to_owned)
}

/// x86 only: there a hypervisor sets a flag that no real processor has.
fn is_virtual(cpuinfo: &str) -> bool {
    value(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

/// The KiB on the line `name: N kB` of one of the kernel's tables; 0 when there is no such line.
pub(crate) fn kibibytes(table: &str, name: &str) -> u64 {
    let first = value(table, name).and_then(|value| value.split(' ').next());
    first.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn huge_pages(thp: &str, meminfo: &str) -> String {
    // `always [madvise] never`: the choice in force is in brackets.
    let chosen = thp.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let transparent = chosen.map_or("none", |(word, _)| word);
    let reserved = kibibytes(meminfo, "HugePages_Total");
    let size = kibibytes(meminfo, "Hugepagesize");
    format!("transparent: {transparent}; reserved: {reserved} of {size} KiB")
}

fn last_level_cache(caches: &Path) -> u64 {
    let entries = fs::read_dir(caches).into_iter().flatten().flatten();
    let level_and_size = entries.filter_map(|entry| {
        let level: u32 = read(&entry.path().join("level")).trim().parse().ok()?;
        Some((level, size(&read(&entry.path().join("size")))?))
    });
    level_and_size.max().map_or(0, |(_, size)| size)
}

/// `2048K` in bytes.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|number| number << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str =
        "processor\t: 0\nmodel name\t: Some CPU: 5th\nflags\t\t: fpu hypervisor\n";

    #[test]
    fn a_processor_is_known_by_its_name_and_flags() {
        assert_eq!(cpu_name(CPUINFO), "Some CPU: 5th");
        assert!(is_virtual(CPUINFO));
        assert!(!is_virtual("flags : fpu hypervisor_like"));
        assert!(cpu_name("processor : 0\n").starts_with(UNKNOWN));
    }

    #[test]
    fn huge_pages_are_said_in_one_line() {
        let meminfo = "HugePages_Total:      16\nHugepagesize:       2048 kB\n";
        assert_eq!(
            huge_pages("always [madvise] never\n", meminfo),
            "transparent: madvise; reserved: 16 of 2048 KiB"
        );
        assert_eq!(huge_pages("", ""), "transparent: none; reserved: 0 of 0 KiB");
    }

    #[test]
    fn the_last_level_is_the_highest() {
        let caches = tempfile::tempdir().unwrap();
        for (index, level, size) in [("index0", "1", "48K"), ("index3", "3", "32M")] {
            let dir = caches.path().join(index);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("level"), level).unwrap();
            fs::write(dir.join("size"), size).unwrap();
        }
        assert_eq!(last_level_cache(caches.path()), 32 << 20);
        assert_eq!(last_level_cache(Path::new("/no/such")), 0);
    }

    #[test]
    fn this_machine_has_memory_and_a_kernel() {
        let machine = here();
        assert!(machine.cores >= 1);
        assert!(machine.memory > 0);
        assert!(!machine.kernel.is_empty());
    }

    #[test]
    fn a_directory_without_a_repository_has_no_commit() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(commit_in(dir.path()), UNKNOWN);
    }
}
