use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::net::if_::if_nametoindex;
use portreeve_tests::host::Host;

/// The generator, the sink and the way into the bare forwarder's socket.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/wire.bpf.o");

/// The core that the generator takes; what it sends is received on the same.
pub const CORE: usize = 0;
/// The name of its thread.
pub const THREAD: &std::ffi::CStr = c"generator";
/// Longest frame that it makes, without checksum.
pub const LONGEST: usize = 1_514;
/// Packets that one call of the kernel makes at most: each call ends with a pause of some 20 ms.
const REPEAT: u32 = 1 << 22;
/// Packets between two looks of the kernel at softirqs, when nobody asks for a pace.
const BATCH: u32 = 64;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// The interface that it leaves through.
    pub interface: String,
    /// Who receives it.
    pub to: [u8; 6],
    /// Who sends it.
    pub from: [u8; 6],
    /// First source address; 256 flows share one.
    pub source: Ipv4Addr,
    /// First destination address.
    pub target: Ipv4Addr,
    /// Flows are spread over so many destination addresses, a power of two.
    pub targets: u32,
    /// Destination port of UDP.
    pub port: u16,
    /// Destination port of packets with a time stamp.
    pub probe_port: u16,
    /// One packet of so many has a time stamp.
    pub probe_every: Option<u32>,
    /// Flows, a power of two.
    pub flows: u32,
    /// What the frames are like.
    pub size: Size,
    /// Packets per second; as many as possible when `None`.
    pub rate: Option<f64>,
}

/// Length of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All the same, in bytes with the checksum that the hardware adds.
    Bytes(u32),
    /// 7 : 4 : 1 of 64, 594 and 1 518 bytes.
    Imix,
}

/// What was sent since the object was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets, those that the interface dropped included.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes packets in the kernel: `BPF_PROG_TEST_RUN` with live frames.
pub struct Generator {
    object: Ebpf,
    settings: Array<MapData, [u32; 14]>,
    meter: Meter,
}

/// Says how much has been sent.
pub struct Meter(Array<MapData, [u64; 4]>);

impl Size {
    /// Bytes that the program makes of it; 0 stands for the mix.
    const fn length(self) -> u32 {
        match self {
            // The last four are the checksum, which veth has not and hardware adds.
            Self::Bytes(bytes) => bytes - 4,
            Self::Imix => 0,
        }
    }

    /// For people: `64 B`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Bytes(bytes) => format!("{bytes} B"),
            Self::Imix => "IMIX".to_owned(),
        }
    }
}

impl Generator {
    /// Loads it.
    ///
    /// # Errors
    /// Without root, or when the kernel refuses the program.
    pub fn load() -> Result<Self> {
        let mut object =
            EbpfLoader::new().btf(None).load(OBJECT).context("load the generator's object")?;
        let program: &mut Xdp =
            object.program_mut("generate").context("the object has no generator")?.try_into()?;
        program.load().context("load the generator")?;
        let map = object.take_map("settings").context("the object has no settings")?;
        let settings = Array::try_from(map)?;
        let map = object.take_map("progress").context("the object has no progress")?;
        Ok(Self { object, settings, meter: Meter(Array::try_from(map)?) })
    }

    /// What it has sent so far.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn sent(&self) -> Result<Sent> {
        self.meter.sent()
    }

    /// Sends `traffic` from `host`, or from where we are when there is none, while `work` runs.
    ///
    /// # Errors
    /// When the interface is missing or the kernel cannot send; then also `work` is for nothing.
    pub fn during<T>(
        &mut self,
        host: Option<&Host>,
        traffic: &Traffic,
        work: impl FnOnce(&Meter) -> Result<T>,
    ) -> Result<T> {
        let index = inside(host, || if_nametoindex(traffic.interface.as_str()))?
            .with_context(|| format!("find the interface {}", traffic.interface))?;
        let Self { object, settings, meter } = self;
        let program: &Xdp =
            object.program("generate").context("the object has no generator")?.try_into()?;
        settings.set(0, words(traffic, index, false), 0).context("set the generator")?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (ready, sending) = mpsc::channel();
            let sender = scope.spawn(|| inside(host, || send(program, traffic, &over, ready))?);
            // A sender that could not begin has hung up, and says why below.
            let _ = sending.recv();
            let done = work(meter);
            over.store(true, Ordering::Release);
            // What is left of the call in progress is over quickly.
            let stopped = settings.set(0, words(traffic, index, true), 0);
            let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.and(stopped.context("stop the generator")).and(done)
        })
    }
}

impl Meter {
    /// What has been sent so far.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn sent(&self) -> Result<Sent> {
        let [packets, bytes, ..] = self.0.get(&0, 0).context("read the progress")?;
        Ok(Sent { packets, bytes })
    }
}

fn inside<T: Send>(host: Option<&Host>, action: impl FnOnce() -> T + Send) -> Result<T> {
    match host {
        Some(host) => host.enter(action),
        None => Ok(action()),
    }
}

/// Calls the kernel until it is over.
fn send(
    program: &Xdp,
    traffic: &Traffic,
    over: &AtomicBool,
    ready: mpsc::Sender<()>,
) -> Result<()> {
    rustix::thread::set_name(THREAD).context("name the generator")?;
    core_affinity::set_for_current(core_affinity::CoreId { id: CORE });
    let length = match traffic.size.length() {
        0 => LONGEST,
        length => length as usize,
    };
    let (data, batch) = (vec![0_u8; length], batch(traffic.rate));
    drop(ready);
    while !over.load(Ordering::Acquire) {
        let options = TestRunOptions {
            data_in: Some(&data),
            repeat: REPEAT,
            attrs: TestRunAttrs::new().xdp_live_frames(batch),
            ..TestRunOptions::new()
        };
        program.test_run(options).context("send live frames (Linux 5.18 and later)")?;
    }
    Ok(())
}

/// Paced packets go one by one: in a batch the first would wait for the last, after it was stamped.
const fn batch(rate: Option<f64>) -> u32 {
    if rate.is_some() { 1 } else { BATCH }
}

/// `struct settings` of the program.
fn words(traffic: &Traffic, index: u32, stop: bool) -> [u32; 14] {
    let mut macs = [0_u8; 12];
    macs[..6].copy_from_slice(&traffic.to);
    macs[6..].copy_from_slice(&traffic.from);
    let mac = |at: usize| u32::from_ne_bytes([macs[at], macs[at + 1], macs[at + 2], macs[at + 3]]);
    [
        u32::from(stop),
        index,
        traffic.rate.map_or(0, |rate| (1e9 / rate) as u32),
        traffic.flows.saturating_sub(1),
        traffic.source.to_bits(),
        traffic.target.to_bits(),
        traffic.targets.saturating_sub(1),
        u32::from(traffic.port),
        u32::from(traffic.probe_port),
        traffic.probe_every.unwrap_or(0),
        traffic.size.length(),
        mac(0),
        mac(4),
        mac(8),
    ]
}
