use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};

/// Runs a command to its end; it must succeed.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("start {}", shown(command)))?;
    ensure!(status.success(), "{} failed, {status}", shown(command));
    Ok(())
}

/// Runs a command, passes its output on line by line, and shows each line to `read`.
///
/// # Errors
/// When it cannot be started.
pub fn watch(command: &mut Command, read: impl FnMut(&str) + Send) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {}", shown(command)))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = Mutex::new(read);
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(err, io::stderr(), &read));
        pass_on(out, io::stdout(), &read);
    });
    child.wait().with_context(|| format!("wait for {}", shown(command)))
}

fn pass_on(from: Option<impl Read>, mut to: impl Write, read: &Mutex<impl FnMut(&str)>) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // An error here means that the child has gone; so have its words.
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // Nobody may be reading us any more; the tally is still wanted.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        read(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
