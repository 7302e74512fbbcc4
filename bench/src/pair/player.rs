use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

/// A program that has one case set up and measures a round when told to.
pub struct Player {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    name: String,
}

impl Player {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started or does not know the case.
    pub fn start(program: &Path, case: &str, delay_ns: u32) -> Result<Self> {
        let name = program.display().to_string();
        let mut command = Command::new(program);
        command.args(["memory", "--serve", "--case", case]);
        if delay_ns > 0 {
            command.args(["--test-delay-ns", &delay_ns.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let ask = child.stdin.take();
        let answers = child.stdout.take().context("its standard output")?;
        let mut player = Self { child, ask, answers: BufReader::new(answers), name };
        player.answer().with_context(|| format!("{case} did not get ready"))?;
        Ok(player)
    }

    /// Nanoseconds per packet of one round.
    ///
    /// # Errors
    /// When it has ended or says no number.
    pub fn round(&mut self) -> Result<f64> {
        let ask = self.ask.as_mut().context("a program that runs")?;
        ask.write_all(b"round\n").with_context(|| format!("ask {}", self.name))?;
        let answer = self.answer()?;
        answer.parse().with_context(|| format!("{} said {answer:?}", self.name))
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        let read = read.with_context(|| format!("listen to {}", self.name))?;
        anyhow::ensure!(read > 0, "{} ended", self.name);
        Ok(line.trim().to_owned())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It ends at the end of its input.
        self.ask = None;
        let _ = self.child.wait();
    }
}
