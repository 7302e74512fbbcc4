//! Huge pages of this machine: what lies in them, having some on purpose, and having none.

/// The pool that an administrator reserves.
pub mod reserved;
/// A stretch of time without huge pages.
pub mod small;

use anyhow::{Context as _, Result};

use crate::machine::kibibytes;

/// What the kernel counts of huge pages: transparent ones of a process alone and of shared memory,
/// reserved ones.
const COUNTED: [&str; 4] = ["AnonHugePages", "ShmemPmdMapped", "Private_Hugetlb", "Shared_Hugetlb"];

/// Bytes of this process that lie in huge pages.
///
/// # Errors
/// When the kernel does not say (before Linux 4.14).
pub fn huge_bytes() -> Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").context("ask for our pages")?;
    Ok(huge_in(&rollup))
}

fn huge_in(rollup: &str) -> u64 {
    COUNTED.iter().map(|name| kibibytes(rollup, name) * 1_024).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_huge_page_counts() {
        let rollup = "55d0-7ffc ---p 00000000 00:00 0   [rollup]\nRss:   900000 kB\n\
                      AnonHugePages:      2048 kB\nShmemPmdMapped:        0 kB\n\
                      Shared_Hugetlb:        4 kB\nPrivate_Hugetlb:    6144 kB\n";
        assert_eq!(huge_in(rollup), (2_048 + 4 + 6_144) * 1_024);
    }
}
