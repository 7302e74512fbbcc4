use std::time::Duration;

use anyhow::Result;
use portreeve_tests::lab::Lab;

use super::gaps::LookOut;
use super::generator::Generator;
use super::peer::{Kind, Running};
use super::rig::{BACKENDS, FLOWS};
use crate::pages::reserved::Pool;

/// Higher than whatever else runs on the machine; passed on to every thread and process that is
/// started, so peers and appliance have it alike.
const NICE: i32 = -15;

/// Everything that cases need: the devices at work, the generator, and the time that they have.
pub struct Bench {
    /// The devices, in the order of the report.
    pub devices: Vec<Running>,
    /// Makes packets.
    pub generator: Generator,
    /// Sees gaps.
    pub look_out: LookOut,
    /// Rounds of each case.
    pub rounds: usize,
    /// Length of a round of a rate.
    pub time: Duration,
    /// What a reader of the run must know.
    pub notes: Vec<String>,
    /// Reserved huge pages that devices take.
    pool: Pool,
    /// Holds the namespaces together; goes last.
    lab: Lab,
}

impl Bench {
    /// Lays out a rig for each of `kinds` and starts it there. A peer that cannot be had is left
    /// out, loudly; without the appliance there is nothing to measure.
    ///
    /// # Errors
    /// Without root; when the lab, the generator or the appliance cannot be had.
    pub fn set_up(kinds: &[Kind], rounds: usize, time: Duration) -> Result<Self> {
        // Without the right to do so the figures are noisier.
        let _ = rustix::process::setpriority_process(None, NICE);
        let lab = Lab::new("bench wire")?;
        let generator = Generator::load()?;
        let mut bench = Self {
            devices: Vec::new(),
            generator,
            look_out: LookOut::start(),
            rounds,
            time,
            notes: Vec::new(),
            pool: Pool::default(),
            lab,
        };
        for kind in kinds {
            say(&format!("starting {}", kind.label()));
            match kind.start(&bench.lab, &mut bench.pool) {
                Ok(running) => bench.devices.push(running),
                Err(error) if matches!(kind, Kind::Portreeve(_)) => return Err(error),
                Err(error) => bench.skip(*kind, &format!("{error:#}")),
            }
        }
        Ok(bench)
    }

    fn skip(&mut self, kind: Kind, reason: &str) {
        let note = format!("SKIPPED {}: {reason}", kind.label());
        say(&note);
        self.notes.push(note);
    }

    /// The places of the devices that `which` names, in the order of their turns in `round`: it
    /// moves on by one from round to round, so that none always follows the same other.
    #[must_use]
    pub fn turns(&self, round: usize, which: impl Fn(Kind) -> bool) -> Vec<usize> {
        let places = 0..self.devices.len();
        let mut turns: Vec<_> = places.filter(|at| which(self.devices[*at].kind)).collect();
        if !turns.is_empty() {
            let by = round % turns.len();
            turns.rotate_left(by);
        }
        turns
    }

    /// What the lab is like, and versions of peers that are programs.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let version = |kind: Kind| {
            let (program, flag) = match kind {
                Kind::Haproxy => ("haproxy", "-v"),
                Kind::Nft => ("nft", "--version"),
                _ => return None,
            };
            let rig = &self.devices.iter().find(|one| one.kind == kind)?.rig;
            let said = rig.gateway.run(program, &[flag]).ok()?.stdout;
            Some((program.to_owned(), said.lines().next()?.trim().to_owned()))
        };
        let mut all: Vec<_> = self.devices.iter().filter_map(|one| version(one.kind)).collect();
        for (name, value) in [("UDP flows", FLOWS), ("servers", BACKENDS)] {
            all.push((name.to_owned(), value.to_string()));
        }
        all
    }

    /// What must not have happened did not.
    ///
    /// # Errors
    /// What happened to which device.
    pub fn check(&self) -> Result<()> {
        self.devices.iter().try_for_each(|one| one.peer.check(&one.rig))
    }
}

/// Says how far the run is.
pub fn say(line: &str) {
    eprintln!("{line}");
}
