//! One case, a round at a time, for whoever asks on standard input: how two programs take turns.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result};

use super::case::{CASES, Case};
use super::round::round;

/// The case with this id.
///
/// # Errors
/// When there is none.
pub fn case(id: &str) -> Result<&'static Case> {
    CASES.iter().find(|case| case.id == id).with_context(|| format!("there is no case {id}"))
}

/// Answers every line on standard input with the nanoseconds per packet of one round.
///
/// # Errors
/// When the case cannot be set up, or nobody listens any more.
pub fn serve(case: &Case, delay_ns: u64) -> Result<()> {
    let (mut world, mut feed) = case.build(delay_ns)?;
    round(&mut world, feed.as_mut());
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready").context("say that we are ready")?;
    out.flush().context("say that we are ready")?;
    for line in std::io::stdin().lock().lines() {
        line.context("read what is asked")?;
        let ns = round(&mut world, feed.as_mut()).value;
        writeln!(out, "{ns}").and_then(|()| out.flush()).context("answer")?;
    }
    Ok(())
}
