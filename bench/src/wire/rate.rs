use std::time::Duration;

use anyhow::Result;

use super::count::{Received, Thread, busy_seconds, received, thread};
use super::gaps::LookOut;
use super::generator::{Generator, Meter, Sent, Size, THREAD, Traffic};
use super::peer::Running;
use super::rig::NEAR;

/// How long a device works before it is looked at: the same for all.
pub const WARM_UP: Duration = Duration::from_millis(300);

/// What came of packets in a stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Packets that went into the device.
    pub sent: u64,
    /// Packets that arrived at the servers.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds of all processors together.
    pub busy: f64,
    /// Seconds of the device's own code outside the kernel.
    pub user: Option<f64>,
    /// What came between.
    pub disturbed: Disturbed,
}

/// What came between during a round.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disturbed {
    /// Longest gap that a processor had, in microseconds.
    pub gap_us: f64,
    /// The share of the time for which the device or the generator waited for another program.
    pub waited: f64,
}

impl Stretch {
    /// Packets per second that arrived.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.packets as f64 / self.seconds
    }

    /// Packets per second that were sent.
    #[must_use]
    pub fn offered(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// The share of what was sent that did not arrive.
    #[must_use]
    pub fn loss(&self) -> f64 {
        1.0 - self.packets as f64 / self.sent.max(1) as f64
    }
}

struct Reading {
    at: std::time::Instant,
    arrived: Received,
    sent: Sent,
    busy: f64,
    worker: Option<Thread>,
    generator: Thread,
}

fn read(running: &Running, meter: &Meter) -> Result<Reading> {
    let (arrived, at) = received(running.end(), NEAR)?;
    let worker = running.peer.worker().map(|(pid, name)| thread(pid, name)).transpose()?;
    let generator = thread(std::process::id(), THREAD.to_str().unwrap_or_default())?;
    Ok(Reading { at, arrived, sent: meter.sent()?, busy: busy_seconds()?, worker, generator })
}

/// Sends traffic of `size` through a device for a while and counts what arrives: as much as can
/// be sent, or `rate` packets per second.
///
/// # Errors
/// When the generator fails or the device has gone.
pub fn stretch(
    running: &Running,
    generator: &mut Generator,
    look_out: &LookOut,
    load: Load,
    time: Duration,
) -> Result<Stretch> {
    let traffic =
        Traffic { rate: load.rate, ..running.rig.traffic(running.kind.aim(), load.size)? };
    running.peer.wake()?;
    let done = measure(running, generator, look_out, &traffic, time);
    running.peer.rest()?;
    done
}

/// As [`stretch`], of traffic that is ready, through a device that is awake.
///
/// # Errors
/// As [`stretch`].
pub fn measure(
    running: &Running,
    generator: &mut Generator,
    look_out: &LookOut,
    traffic: &Traffic,
    time: Duration,
) -> Result<Stretch> {
    generator.during(Some(&running.rig.client), traffic, |meter| {
        std::thread::sleep(WARM_UP);
        let _ = look_out.take_us();
        let before = read(running, meter)?;
        std::thread::sleep(time);
        let after = read(running, meter)?;
        Ok(difference(&before, &after, look_out.take_us()))
    })
}

/// What is sent, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Length of frames.
    pub size: Size,
    /// Packets per second; as many as possible when `None`.
    pub rate: Option<f64>,
}

fn difference(before: &Reading, after: &Reading, gap_us: f64) -> Stretch {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let worker = before.worker.zip(after.worker);
    let waits = worker.map_or(0.0, |(before, after)| after.waited - before.waited);
    let waited = (after.generator.waited - before.generator.waited).max(waits) / seconds;
    Stretch {
        seconds,
        sent: after.sent.packets - before.sent.packets,
        packets: after.arrived.packets - before.arrived.packets,
        bytes: after.arrived.bytes - before.arrived.bytes,
        busy: after.busy - before.busy,
        user: worker.map(|(before, after)| after.user - before.user),
        disturbed: Disturbed { gap_us, waited },
    }
}
