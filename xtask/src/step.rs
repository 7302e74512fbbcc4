//! A run is a list of steps. All of them run, whatever fails; what failed or was skipped is said
//! again at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::run::{run, shown, watch};
use crate::tally::Tally;

/// One thing to check.
pub struct Step {
    name: &'static str,
    work: Work,
}

/// How it is checked.
enum Work {
    /// A test program (or several), whose closing lines are added up.
    Tests(Command),
    /// A function of ours.
    Call(Box<dyn FnOnce() -> Result<Outcome>>),
    /// It cannot run here.
    Skip(String),
}

/// How a check that is not a failure ended.
pub enum Outcome {
    /// It holds.
    Passed,
    /// It could not be made here, because.
    Skipped(String),
}

impl Step {
    /// Runs tests and counts each.
    pub fn tests(name: &'static str, command: Command) -> Self {
        Self { name, work: Work::Tests(command) }
    }

    /// Runs commands, each of which must succeed.
    pub fn commands(name: &'static str, commands: Vec<Command>) -> Self {
        Self::call(name, || {
            for mut command in commands {
                run(&mut command)?;
            }
            Ok(Outcome::Passed)
        })
    }

    /// Calls a function.
    pub fn call(name: &'static str, work: impl FnOnce() -> Result<Outcome> + 'static) -> Self {
        Self { name, work: Work::Call(Box::new(work)) }
    }

    /// The same step where `problem` is `None`, else a skip for that reason.
    pub fn unless(self, problem: Option<String>) -> Self {
        match problem {
            Some(reason) => Self { name: self.name, work: Work::Skip(reason) },
            None => self,
        }
    }

    fn run(self) -> Tally {
        let name = self.name;
        let failed = |error: &dyn std::fmt::Display| {
            eprintln!("FAILED {name}: {error}");
            Tally::fail(name)
        };
        match self.work {
            Work::Tests(command) => {
                tests(name, command).unwrap_or_else(|e| failed(&format!("{e:#}")))
            }
            Work::Call(work) => match work() {
                Ok(Outcome::Passed) => Tally::pass(),
                Ok(Outcome::Skipped(reason)) => Tally::skip(name, &reason),
                Err(error) => failed(&format!("{error:#}")),
            },
            Work::Skip(reason) => Tally::skip(name, &reason),
        }
    }
}

fn tests(name: &str, mut command: Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = watch(&mut command, |line| tally.read(line))?;
    let counted = tally.passed() + tally.failed + tally.skipped;
    ensure!(status.success() || tally.failed > 0, "{} failed, {status}", shown(&command));
    ensure!(counted > 0, "{} ran no test: {name} proves nothing", shown(&command));
    Ok(tally)
}

/// Runs all steps and closes on the line `N passed, N failed, N skipped`.
pub fn run_all(steps: Vec<Step>) -> Tally {
    let mut total = Tally::default();
    let mut times = Vec::new();
    for step in steps {
        let (name, begun) = (step.name, now());
        println!("\n==> {name}");
        let tally = step.run();
        times.push((name, begun.elapsed(), tally.to_string()));
        total += tally;
    }
    report(&times, &total);
    total
}

fn report(times: &[(&str, Duration, String)], total: &Tally) {
    println!();
    for (name, time, tally) in times {
        println!("{:>7.1} s  {name}: {tally}", time.as_secs_f64());
    }
    for reason in &total.reasons {
        println!("\n!!! SKIPPED {reason}");
    }
    for failure in &total.failures {
        println!("\n!!! FAILED {failure}");
    }
    println!("\n{total}");
}

#[expect(clippy::disallowed_methods, reason = "steps are timed for people, no packet is near")]
fn now() -> Instant {
    Instant::now()
}
