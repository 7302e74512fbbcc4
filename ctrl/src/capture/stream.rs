use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use dataplane::capture::{Filter, Reader, Recorder, Seen};
use dataplane::limits::PORTS_MAX;
use dataplane::time::wall_ns;
use dataplane::worker::command::Command;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::pcapng;

/// Words of each worker's ring: 4 MiB, some 25 000 packets with the usual snaplen.
const RING: usize = 1 << 19;
/// Rings are looked at this often while nothing is in them.
const POLL: Duration = Duration::from_millis(5);
/// How long a worker may take to begin, and to give back what it copied with.
const PATIENCE: Duration = Duration::from_secs(1);
/// A chunk is passed on when it has grown to this many bytes.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for whoever reads.
pub const CHUNKS: usize = 8;

/// A port, as the file names it.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: String,
    /// Its MAC.
    pub mac: [u8; 6],
}

/// What a capture does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which packets.
    pub filter: Filter,
    /// Bytes of each.
    pub snaplen: u16,
    /// End after so many.
    pub count: Option<u64>,
    /// End after this time.
    pub limit: Option<Duration>,
    /// The ports, by their ids.
    pub interfaces: Vec<Interface>,
}

/// Hands a command to a worker; says whether there was room for it.
pub type Tell = Box<dyn Fn(Command) -> bool + Send>;

/// A capture that runs, on a thread of its own: formatting a million packets a second is no work for
/// the one that announces addresses.
pub struct Stream {
    plan: Plan,
    workers: Vec<Tell>,
    readers: Vec<Reader>,
    /// Set to end it.
    stop: Arc<AtomicBool>,
    deadline: Option<Instant>,
    written: u64,
}

impl Stream {
    /// Has every worker copy packets; returns when all do.
    ///
    /// # Errors
    /// The number of a worker that does not begin; then none goes on.
    pub fn begin(plan: Plan, workers: Vec<Tell>, stop: Arc<AtomicBool>) -> Result<Self, usize> {
        // A time that the clock cannot show is none.
        let deadline = plan.limit.and_then(|limit| now().checked_add(limit));
        let mut stream = Self { plan, workers, readers: Vec::new(), stop, deadline, written: 0 };
        let mut begun = Vec::new();
        for worker in &stream.workers {
            let Plan { filter, snaplen, .. } = &stream.plan;
            let (recorder, reader) = Recorder::new(filter.clone(), *snaplen, RING);
            let (reply, answer) = mpsc::channel();
            let begin = Box::new(move || {
                // Whoever waits has lost patience if this fails.
                let _ = reply.send(());
            });
            worker(Command::BeginCapture(Box::new(recorder), begin));
            stream.readers.push(reader);
            begun.push(answer);
        }
        match begun.iter().position(|answer| answer.recv_timeout(PATIENCE).is_err()) {
            None => Ok(stream),
            Some(silent) => {
                stream.end_recorders();
                Err(silent)
            }
        }
    }

    /// Passes on what is copied until there is enough of it, or nobody wants more.
    pub fn run(mut self, out: &Sender<Bytes>) {
        let mut chunk = self.head();
        loop {
            let found = self.drain(&mut chunk);
            if !chunk.is_empty() && !self.pass_on(out, std::mem::take(&mut chunk)) {
                break;
            }
            if out.is_closed() || self.is_over() {
                break;
            }
            if !found {
                std::thread::sleep(POLL);
            }
        }
        let seen = self.end_recorders();
        // What was copied until then; the rings are not filled any more.
        while self.drain(&mut chunk) && self.pass_on(out, std::mem::take(&mut chunk)) {}
        for (port, Seen { taken, lost }) in (0..).zip(&seen).take(self.plan.interfaces.len()) {
            pcapng::statistics(&mut chunk, port, wall_ns(), (*taken, *lost));
        }
        self.pass_on(out, chunk);
    }

    fn head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHUNK);
        pcapng::section(&mut out, concat!("portreeve ", env!("CARGO_PKG_VERSION")));
        for Interface { name, mac } in &self.plan.interfaces {
            pcapng::interface(&mut out, name, *mac, self.plan.snaplen);
        }
        out
    }

    /// Appends what all workers have copied, in the order of time. Returns whether there was anything.
    fn drain(&mut self, chunk: &mut Vec<u8>) -> bool {
        let most = CHUNK / self.readers.len().max(1);
        let mut blocks = Vec::new();
        let mut found = Vec::new();
        for reader in &mut self.readers {
            let begun = blocks.len();
            while let Some(record) = reader.next_record() {
                let at = blocks.len();
                pcapng::packet(&mut blocks, &record);
                found.push((record.time_ns, at..blocks.len()));
                if blocks.len() - begun >= most {
                    break;
                }
            }
        }
        found.sort_by_key(|(time, _)| *time);
        let rest = self.plan.count.map_or(u64::MAX, |count| count - self.written.min(count));
        for (_, block) in found.iter().take(usize::try_from(rest).unwrap_or(usize::MAX)) {
            chunk.extend(&blocks[block.clone()]);
            self.written += 1;
        }
        !found.is_empty()
    }

    fn is_over(&self) -> bool {
        self.is_told_to_end() || self.plan.count.is_some_and(|count| self.written >= count)
    }

    fn is_told_to_end(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| now() >= deadline)
    }

    /// Waits for room; at the end of a capture not for ever. Returns whether there was some.
    fn pass_on(&self, out: &Sender<Bytes>, chunk: Vec<u8>) -> bool {
        let mut until = None;
        let mut chunk = Bytes::from(chunk);
        loop {
            match out.try_send(chunk) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => chunk = back,
            }
            if self.is_told_to_end() && now() >= *until.get_or_insert_with(|| now() + PATIENCE) {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Has every worker give back what it copied with; returns what was taken of the packets of each
    /// port.
    fn end_recorders(&self) -> [Seen; PORTS_MAX] {
        let mut all = [Seen::default(); PORTS_MAX];
        for (number, worker) in self.workers.iter().enumerate() {
            match end(worker) {
                Ok(recorder) => {
                    let seen = recorder.iter().flat_map(|recorder| recorder.seen());
                    for (sum, seen) in all.iter_mut().zip(seen) {
                        sum.taken += seen.taken;
                        sum.lost += seen.lost;
                    }
                }
                Err(error) => tracing::warn!("worker {number} does not end the capture: {error}"),
            }
        }
        all
    }
}

fn end(worker: &Tell) -> Result<Option<Box<Recorder>>, RecvTimeoutError> {
    let deadline = now() + PATIENCE;
    loop {
        let (reply, answer) = mpsc::channel();
        let reply = Box::new(move |recorder| drop(reply.send(recorder)));
        if worker(Command::EndCapture(reply)) || now() >= deadline {
            return answer.recv_timeout(PATIENCE);
        }
        std::thread::sleep(POLL);
    }
}

#[expect(clippy::disallowed_methods, reason = "control's own time, not that of packets")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_beyond_all_time_is_none() {
        let plan = |limit| Plan {
            filter: Filter::default(),
            snaplen: 256,
            count: None,
            limit: Some(limit),
            interfaces: Vec::new(),
        };
        let begin = |limit| Stream::begin(plan(limit), Vec::new(), Arc::default()).unwrap();
        assert_eq!(begin(Duration::from_secs(u64::MAX)).deadline, None);
        assert!(begin(Duration::from_secs(1)).deadline.is_some());
    }
}
