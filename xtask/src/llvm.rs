//! Which clang and llc to build with: of one version, 16 or later, the newest there is. A version
//! that is installed is preferred to a newer one that would have to be.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The oldest version whose BPF back end does what the steering program needs.
const OLDEST: u32 = 16;

/// The newest version of which both programs are installed.
pub fn installed() -> Option<u32> {
    let names: Vec<String> = path_dirs()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(|entries| entries.filter_map(|e| e.ok()?.file_name().into_string().ok()))
        .collect();
    newest_pair(&names, "clang-", "llc-")
}

/// The newest version of which the distribution has both packages.
pub fn available() -> Option<u32> {
    let output = Command::new("apt-cache").args(["pkgnames", "clang-"]).output().ok()?;
    let llvm = Command::new("apt-cache").args(["pkgnames", "llvm-"]).output().ok()?;
    let text = [output.stdout, llvm.stdout].concat();
    let names: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    newest_pair(&names, "clang-", "llvm-")
}

fn newest_pair(names: &[String], clang: &str, other: &str) -> Option<u32> {
    let versions = |prefix: &str| -> Vec<u32> {
        names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok()).collect()
    };
    let others = versions(other);
    versions(clang).into_iter().filter(|v| *v >= OLDEST && others.contains(v)).max()
}

fn path_dirs() -> impl Iterator<Item = PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(names: &[&str]) -> Option<u32> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        newest_pair(&names, "clang-", "llc-")
    }

    #[test]
    fn both_programs_must_have_one_version() {
        assert_eq!(newest(&["clang-19", "llc-14", "llc-16", "clang-16"]), Some(16));
        assert_eq!(newest(&["clang-19", "llc-14"]), None);
    }

    #[test]
    fn versions_are_numbers_and_old_ones_do_not_count() {
        assert_eq!(newest(&["clang-9", "llc-9", "clang-16", "llc-16"]), Some(16));
        assert_eq!(newest(&["clang-100", "llc-100", "clang-99", "llc-99"]), Some(100));
        assert_eq!(newest(&["clang-15", "llc-15", "clang-cpp-19", "clang-19-doc"]), None);
    }
}
