//! SYNs from sources that do not exist, at an even pace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use crate::garbage::{Random, checksum};
use crate::process::FIRST;
use crate::raw_port::RawPort;

const BATCH: usize = 32;
const ETH: usize = 14;
const TCP: usize = 20;

/// An endless stream of SYNs, each from an address and a port of its own.
#[derive(Debug)]
pub struct SynFlood {
    random: Random,
    macs: [[u8; 6]; 2],
    targets: Vec<SocketAddr>,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poured {
    /// Frames.
    pub sent: u64,
    /// In this time.
    pub took: Duration,
}

impl Poured {
    /// Frames per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }
}

impl SynFlood {
    /// From the MAC `from` to `to`, in turn to each of `targets`.
    #[must_use]
    pub fn new(seed: u64, from: [u8; 6], to: [u8; 6], targets: Vec<SocketAddr>) -> Self {
        Self { random: Random(seed), macs: [to, from], targets }
    }

    /// Sends through `port` until it is `over`, as fast as it goes but no faster than `per_second`: on the
    /// machine's first core, since workers take the last ones, and before all else there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pour(mut self, port: &RawPort, per_second: f64, over: &AtomicBool) -> Result<Poured> {
        let mut core = CpuSet::new();
        core.set(0).and_then(|()| sched_setaffinity(Pid::from_raw(0), &core)).context("pin")?;
        setpriority_process(Some(gettid()), FIRST).context("raise the generator's priority")?;
        let (begun, mut sent, mut due) = (Instant::now(), 0, 0);
        let mut frames = vec![Vec::new(); BATCH];
        while !over.load(Ordering::Acquire) {
            for (at, frame) in frames.iter_mut().enumerate() {
                self.write(frame, due as usize + at);
            }
            sent += port.send(&frames)? as u64;
            due += BATCH as u64;
            let at = Duration::from_secs_f64(due as f64 / per_second);
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
        }
        Ok(Poured { sent, took: begun.elapsed() })
    }

    fn write(&mut self, frame: &mut Vec<u8>, number: usize) {
        let target = self.targets[number % self.targets.len()];
        frame.clear();
        frame.extend_from_slice(self.macs.as_flattened());
        match target.ip() {
            IpAddr::V4(to) => {
                let from = self.stranger_v4();
                frame.extend([8, 0, 0x45, 0, 0, (20 + TCP) as u8, 0, 0, 0x40, 0, 64, 6, 0, 0]);
                frame.extend(from.octets());
                frame.extend(to.octets());
                let sum = checksum(&frame[ETH..]);
                frame[ETH + 10..ETH + 12].copy_from_slice(&sum.to_be_bytes());
            }
            IpAddr::V6(to) => {
                let from = self.stranger_v6();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, TCP as u8, 6, 64]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
        }
        self.segment(frame, target);
    }

    /// A SYN without options behind the addresses that end `frame`.
    fn segment(&mut self, frame: &mut Vec<u8>, target: SocketAddr) {
        let l4 = frame.len();
        let addresses = if target.is_ipv4() { 8 } else { 32 };
        let random = self.random.next().to_le_bytes();
        // Below 1024 would be another thing that is odd about it.
        let port = u16::from_le_bytes([random[0], random[1]]) | 1_024;
        frame.extend(port.to_be_bytes());
        frame.extend(target.port().to_be_bytes());
        frame.extend(&random[2..6]);
        frame.extend([0, 0, 0, 0, 5 << 4, 2, 0xfa, 0xf0, 0, 0, 0, 0]);
        let mut summed = [0; 32 + 4 + TCP];
        let parts = [&frame[l4 - addresses..l4], &[0, 6, 0, TCP as u8], &frame[l4..]];
        let mut at = 0;
        for part in parts {
            summed[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let sum = checksum(&summed[..at]);
        frame[l4 + 16..l4 + 18].copy_from_slice(&sum.to_be_bytes());
    }

    /// Any address that may stand in a packet of the open internet.
    fn stranger_v4(&mut self) -> Ipv4Addr {
        loop {
            let address = Ipv4Addr::from(self.random.next() as u32);
            let first = address.octets()[0];
            let odd = address.is_private() || address.is_loopback() || address.is_link_local();
            if (1..224).contains(&first) && !odd {
                return address;
            }
        }
    }

    fn stranger_v6(&mut self) -> Ipv6Addr {
        let bits = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        Ipv6Addr::from(bits >> 3 | 1 << 125)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right_and_sources_differ() {
        let targets = vec!["10.0.0.2:80".parse().unwrap(), "[fd00::2]:80".parse().unwrap()];
        let mut flood = SynFlood::new(1, [2; 6], [4; 6], targets);
        let mut sources = std::collections::HashSet::new();
        for number in 0..1_000 {
            let mut frame = Vec::new();
            flood.write(&mut frame, number);
            let l4 = if number % 2 == 0 { ETH + 20 } else { ETH + 40 };
            assert_eq!(frame.len(), l4 + TCP);
            if number % 2 == 0 {
                assert_eq!(checksum(&frame[ETH..l4]), 0);
            }
            let addresses = if number % 2 == 0 { 8 } else { 32 };
            let pseudo = [&frame[l4 - addresses..l4], &[0, 6, 0, TCP as u8], &frame[l4..]].concat();
            assert_eq!(checksum(&pseudo), 0);
            sources.insert(frame[l4 - addresses..l4 - addresses / 2].to_vec());
        }
        assert!(sources.len() > 990);
    }
}
