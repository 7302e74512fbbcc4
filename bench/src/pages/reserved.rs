use std::fs;

use anyhow::{Context as _, Result, ensure};
use dataplane::mem::{Fixed, HUGE_PAGE};
use portreeve_tests::cleanup::Undo;

/// Where the kernel keeps the books on pages of 2 MiB.
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// Enlarges the machine's pool of reserved huge pages. When this goes, and on Ctrl-C, the pool has
/// its old size again: pages that somebody still holds then leave it as they become free, so this
/// may go before or after whoever uses them. One for the whole program, since the second would
/// take the first's pages for the machine's.
#[derive(Debug, Default)]
pub struct Pool(Option<Undo>);

impl Pool {
    /// Sees to it that `count` pages are free to be taken.
    ///
    /// # Errors
    /// Without the right to do so, or when memory is too scattered.
    pub fn need(&mut self, count: u64) -> Result<()> {
        if self.0.is_none() {
            let found = size()?;
            self.0 = Some(Undo::on_drop(move || drop(resize(found))));
        }
        let missing = count.saturating_sub(available()?);
        if missing > 0 {
            resize(read("nr_hugepages")? + missing)?;
        }
        ensure!(available()? >= count, "memory is too scattered for {count} huge pages");
        Ok(())
    }
}

/// Takes all pages that are free, so that nobody else gets one while this is held: the way to
/// have none on a machine that has reserved some.
#[must_use]
pub fn hold_back() -> Fixed<u8> {
    // Without a pool there is nothing to hold.
    let pages = available().unwrap_or(0) as usize;
    Fixed::with_capacity(pages * HUGE_PAGE)
}

/// The size that was set for the pool, in pages; what the kernel counts above it goes by itself.
///
/// # Errors
/// When the kernel has no such pool.
pub fn size() -> Result<u64> {
    Ok(read("nr_hugepages")?.saturating_sub(read("surplus_hugepages")?))
}

/// Pages that are free and promised to nobody.
fn available() -> Result<u64> {
    Ok(read("free_hugepages")?.saturating_sub(read("resv_hugepages")?))
}

fn resize(pages: u64) -> Result<()> {
    fs::write(format!("{POOL}/nr_hugepages"), pages.to_string()).context("reserve huge pages")
}

fn read(file: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("{POOL}/{file}")).context("no huge pages here")?;
    text.trim().parse().with_context(|| format!("{file} is no number"))
}
