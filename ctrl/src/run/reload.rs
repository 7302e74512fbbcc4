use std::time::{Duration, SystemTime};

use super::Gateway;
use crate::compile::Compiler;
use crate::desired::Desired;
use crate::notify::State;
use crate::problem::{self, Problem};
use crate::source;

/// How the attempts to take a new configuration went.
#[derive(Debug, Clone)]
pub struct Reloads {
    /// When the last attempt was made.
    pub at: SystemTime,
    /// Problems of the last attempt; empty when it was taken.
    pub problems: Vec<String>,
    /// Attempts that were taken.
    pub taken: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// The last attempt is in force in part only.
    unfinished: bool,
}

/// Why a configuration is not in force.
enum Failure {
    /// Nothing changed.
    Refused(String),
    /// Steering or tables could not be written; they are tried again.
    Unfinished(String),
}

impl From<String> for Failure {
    fn from(refusal: String) -> Self {
        Self::Refused(refusal)
    }
}

impl Reloads {
    /// The configuration of the start.
    pub(super) fn first() -> Self {
        Self {
            at: SystemTime::now(),
            problems: Vec::new(),
            taken: 0,
            refused: 0,
            unfinished: false,
        }
    }

    /// What is wanted is in force now: an attempt that was not finished has been.
    pub(super) fn complete(&mut self) {
        if std::mem::take(&mut self.unfinished) {
            tracing::info!("the configuration is in force now");
            self.taken += 1;
            self.problems.clear();
        }
    }

    fn failed(&mut self, failure: Failure) {
        let words = match failure {
            Failure::Refused(why) => {
                // What is said last stands until the file is read again.
                self.unfinished = false;
                self.refused += 1;
                tracing::error!("configuration refused, nothing changed\n{why}");
                why
            }
            Failure::Unfinished(why) => {
                self.unfinished = true;
                tracing::error!("configuration taken in part\n{why}");
                why
            }
        };
        self.problems = words.lines().map(str::to_owned).collect();
    }
}

impl Gateway {
    /// Takes the configuration file as it is now, whole, or changes nothing and says why.
    pub(super) async fn reload(&mut self) {
        self.tell(State::Reloading);
        self.reloads.at = SystemTime::now();
        match self.try_reload().await {
            Ok(changed) => {
                self.reloads.taken += u64::from(changed);
                self.reloads.unfinished = false;
                self.reloads.problems.clear();
            }
            Err(failure) => self.reloads.failed(failure),
        }
        self.tell(State::Ready);
    }

    /// Says whether something changed.
    async fn try_reload(&mut self) -> Result<bool, Failure> {
        let text = source::file::read(&self.config).map_err(|error| format!("{error:#}"))?;
        let file = self.config.display().to_string();
        let told = |problems: &[Problem]| problem::render_all(problems, Some(&text));
        let loaded = source::toml::load(&file, &text).map_err(|problems| told(&problems))?;
        let desired = self.options.override_in(loaded.desired);
        // What is not wholly in force is put there, whether the wishes are new or not.
        if desired == self.file && self.steered.is_some() {
            tracing::info!("configuration read again: nothing changed");
            return Ok(false);
        }
        if let Some(section) = needs_restart(&self.file, &desired) {
            return Err(Failure::Refused(format!(
                "{file}: {section} cannot change while the gateway runs; restart it, or take the \
                 change back"
            )));
        }
        // Tried on a compiler of its own first: ids are given out only when the host agrees.
        let topology = self.netlink.topology();
        let trial = Compiler::new().compile(&desired, topology, Duration::ZERO);
        trial
            .and_then(|compiled| super::refuse_conflicts(&desired, &compiled))
            .map_err(|problems| told(&problems))?;
        let before = std::mem::replace(&mut self.file, desired);
        let uptime = self.uptime();
        // Only now: what was wrong has been told with its new place.
        let wanted = self.wanted();
        let effective = self.standing.lay_over(&wanted, self.stalls.any(), uptime);
        // What the file wants fits the host; what the cluster wants besides may fit in part.
        let topology = self.cluster.routed(self.netlink.topology());
        let compiled = match self.compiler.recompile(&effective, &topology, uptime) {
            Ok(compiled) => compiled,
            Err(problems) => {
                self.file = before;
                self.desired = self.wanted();
                return Err(told(&problems).into());
            }
        };
        for warning in loaded.warnings.iter().chain(&compiled.warnings) {
            tracing::warn!("{}", warning.render(Some(&text)));
        }
        let taken = self.take_over(compiled).await;
        // Also when that failed: part of it may be in force, and the next attempt is made with it.
        self.desired = wanted;
        self.standing.follow(&self.desired);
        taken.map_err(|error| {
            let why = format!("{error:#}");
            Failure::Unfinished(format!(
                "{why}; part of the change may be in force, the rest is tried again"
            ))
        })?;
        tracing::info!(services = self.compiled.services.len(), "configuration taken");
        Ok(true)
    }
}

/// What is set up once at start: sockets, memory, threads, listeners.
fn needs_restart(old: &Desired, new: &Desired) -> Option<&'static str> {
    if old.gateway != new.gateway {
        return Some("[gateway]");
    }
    if old.kubernetes != new.kubernetes {
        return Some("[kubernetes]");
    }
    if old.worker != new.worker {
        return Some("[worker]");
    }
    // Flows hold ports of these ranges.
    if old.snat.ports != new.snat.ports {
        return Some("`ports` of [snat]");
    }
    if old.snat.shared_ports != new.snat.shared_ports {
        return Some("`shared_ports` of [snat]");
    }
    (old.ports != new.ports).then_some("[[port]]")
}
