//! Two programs that take turns, round by round, so that the machine's mood falls on both. Where a
//! program and its tables happen to lie in memory makes a difference, too, which is none of the
//! code: so both are started several times, and only what all starts agree on counts.

/// One program that waits for its turn.
mod player;
/// What the ratios say.
mod verdict;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::report::figure;
use crate::stats::{median, range};
use player::Player;
use verdict::{Verdict, verdict};

/// Rows that are set up quickly and cover the pipeline.
const CASES: &[&str] = &[
    "established/ipv4/64/1k",
    "established/ipv6/64/1k",
    "established/ipv4/64/100k",
    "replies/ipv4/64/100k",
    "new/ipv4/64/free",
    "garbage",
];

/// What to compare.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// The program `portreeve-bench` of before.
    pub old: PathBuf,
    /// The one of now.
    pub new: PathBuf,
    /// Rows whose id begins so; all of them when left out.
    #[arg(long, value_name = "ID")]
    pub case: Option<String>,
    /// How often both are started anew: an even number, so that each is the first as often.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(4..))]
    pub starts: u16,
    /// Rounds of each start.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u16).range(3..))]
    pub rounds: u16,
    /// Makes packets of the new program slower by so many nanoseconds, to see whether it shows.
    #[arg(long, hide = true, default_value_t = 0)]
    pub test_delay_ns: u32,
}

/// Compares row by row and prints what differs. Returns whether a row became slower.
///
/// # Errors
/// When a program cannot be run or does not know a row.
pub fn run(options: &Options) -> Result<bool> {
    println!(
        "{:<28} {:>10} {:>10} {:>8}  {:<16}",
        "row", "old ns", "new ns", "new/old", "over starts"
    );
    let mut slower = false;
    for case in CASES {
        if options.case.as_ref().is_some_and(|wanted| !case.starts_with(wanted.as_str())) {
            continue;
        }
        let starts =
            (0..options.starts).map(|n| start(options, case, n)).collect::<Result<Vec<_>>>()?;
        let ratios: Vec<f64> = starts.iter().map(|start| start.ratio).collect();
        let verdict = verdict(&ratios);
        slower |= verdict == Verdict::Slower;
        let of = |pick: fn(&Start) -> f64| median(&starts.iter().map(pick).collect::<Vec<_>>());
        let (least, most) = range(&ratios);
        println!(
            "{case:<28} {:>10} {:>10} {:>8.3}  {least:.3} to {most:.3}   {}",
            figure::digits(of(|start| start.old)),
            figure::digits(of(|start| start.new)),
            median(&ratios),
            verdict.words()
        );
    }
    Ok(slower)
}

/// What one start of both came to.
struct Start {
    old: f64,
    new: f64,
    /// The median of the ratios of rounds that followed each other.
    ratio: f64,
}

fn start(options: &Options, case: &str, n: u16) -> Result<Start> {
    // Whoever comes first gets the better pages.
    let old = || Player::start(&options.old, case, 0);
    let new = || Player::start(&options.new, case, options.test_delay_ns);
    let (mut old, mut new) = if n.is_multiple_of(2) {
        let old = old()?;
        (old, new()?)
    } else {
        let new = new()?;
        (old()?, new)
    };
    let (mut before, mut after, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        // A B, B A, A B: neither is always the second.
        let (a, b) = if round.is_multiple_of(2) {
            let a = old.round()?;
            (a, new.round()?)
        } else {
            let b = new.round()?;
            (old.round()?, b)
        };
        before.push(a);
        after.push(b);
        ratios.push(b / a);
    }
    Ok(Start { old: median(&before), new: median(&after), ratio: median(&ratios) })
}
