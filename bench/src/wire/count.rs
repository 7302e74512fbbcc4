use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use portreeve_tests::host::Host;

use crate::clock::now;

/// The kernel counts processor time in these (`USER_HZ`).
const TICK_SECONDS: f64 = 0.01;

/// Packets and bytes that an interface has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What an interface of `host` has received, and when that was read.
///
/// # Errors
/// When there is no such interface.
pub fn received(host: &Host, interface: &str) -> Result<(Received, Instant)> {
    // Of the thread, not the process: only the thread is in the host's namespace.
    let read = || (fs::read_to_string("/proc/thread-self/net/dev"), now());
    let (text, when) = host.enter(read)?;
    let text = text.context("read /proc/thread-self/net/dev")?;
    let found = line_of(&text, interface);
    Ok((found.with_context(|| format!("{interface} on {}", host.name()))?, when))
}

fn line_of(text: &str, interface: &str) -> Option<Received> {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, numbers) = lines.find(|(name, _)| *name == interface)?;
    let mut numbers = numbers.split_whitespace().map(str::parse);
    let bytes = numbers.next()?.ok()?;
    Some(Received { packets: numbers.next()?.ok()?, bytes })
}

/// Seconds that all processors together have worked since the machine started.
///
/// # Errors
/// When `/proc/stat` cannot be read.
pub fn busy_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    busy_ticks(&text).map(|ticks| ticks as f64 * TICK_SECONDS).context("parse /proc/stat")
}

/// user, nice, system, irq, softirq and steal of `cpu`; not idle and iowait. Guests count as user.
fn busy_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    Some([0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum())
}

/// What a thread has done with its life.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Thread {
    /// Seconds outside the kernel. The kernel samples where a thread is, 100 to 1000 times a
    /// second, and divides the exact running time by that: some seconds are needed to mean much.
    pub user: f64,
    /// Seconds for which it could have run, but another program had the processor.
    pub waited: f64,
}

/// The thread `name` of a process so far.
///
/// # Errors
/// When there is no such thread.
pub fn thread(pid: u32, name: &str) -> Result<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("list threads")?;
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let user = user_ticks(&read("stat")).context("parse the stat of a thread")?;
            let user = user as f64 * TICK_SECONDS;
            // A kernel without these counts knows nothing of waiting.
            let waited = waited_ns(&read("schedstat")).unwrap_or(0) as f64 / 1e9;
            return Ok(Thread { user, waited });
        }
    }
    anyhow::bail!("process {pid} has no thread {name}")
}

/// Field 14; the name before it may hold anything.
fn user_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(11)?.parse().ok()
}

/// Of running time, time on a run queue, slices: the second.
fn waited_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_its_whole_name() {
        let text =
            "Inter-|   Receive\n face |bytes    packets\n xens5: 1 2 0\n  ens5: 640 10 0 0\n";
        assert_eq!(line_of(text, "ens5"), Some(Received { packets: 10, bytes: 640 }));
        assert_eq!(line_of(text, "ens"), None);
    }

    #[test]
    fn waiting_is_no_work() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 9\n"), Some(63));
    }

    #[test]
    fn the_name_of_a_thread_does_not_confuse() {
        let stat = "12 (a) b) R 1 1 1 0 -1 64 0 0 0 0 77 5 0 0 20";
        assert_eq!(user_ticks(stat), Some(77));
    }
}
