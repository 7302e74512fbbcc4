use std::fmt;
use std::ops::AddAssign;

/// How many checks passed, failed and were skipped, and why the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed, tests that returned early included.
    returned: usize,
    /// Of those, tests that said `SKIP`.
    returned_early: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
    /// `name: reason` of the skipped ones that gave one.
    pub reasons: Vec<String>,
    /// What failed.
    pub failures: Vec<String>,
}

impl Tally {
    /// Passed.
    pub fn passed(&self) -> usize {
        self.returned.saturating_sub(self.returned_early)
    }

    /// One check that passed.
    pub fn pass() -> Self {
        Self { returned: 1, ..Self::default() }
    }

    /// One check that failed.
    pub fn fail(what: impl Into<String>) -> Self {
        Self { failed: 1, failures: vec![what.into()], ..Self::default() }
    }

    /// One check that could not run.
    pub fn skip(name: &str, reason: &str) -> Self {
        Self { skipped: 1, reasons: vec![format!("{name}: {reason}")], ..Self::default() }
    }

    /// Reads a line of a test run: libtest's closing line, a failed test, or a `SKIP name: reason`
    /// that a test says of itself. Such a test returns early, so libtest counts it as passed.
    pub fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.returned += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
        } else if let Some(reason) = line.strip_prefix("SKIP ") {
            let reason = reason.trim_end().to_owned();
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
                self.skipped += 1;
                self.returned_early += 1;
            }
        } else if let Some((name, outcome)) = test_line(line) {
            match outcome.split_once(", ") {
                _ if outcome == "FAILED" => self.failures.push(name.to_owned()),
                Some(("ignored", reason)) => self.reasons.push(format!("{name}: {reason}")),
                _ => {}
            }
        }
    }
}

fn test_line(line: &str) -> Option<(&str, &str)> {
    line.trim_end().strip_prefix("test ")?.split_once(" ... ")
}

/// The number before `word` in `ok. 5 passed; 0 failed; 1 ignored; ...`.
fn count(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    before.split_whitespace().next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.returned += other.returned;
        self.returned_early += other.returned_early;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.reasons.extend(other.reasons);
        self.failures.extend(other.failures);
    }
}

/// The closing line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed(), self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn closing_lines_of_all_test_programs_add_up() {
        let text = "test result: ok. 19 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    running 3 tests\n\
                    test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(tally(text).to_string(), "21 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_says_skip_counts_as_skipped_once() {
        let text = "SKIP ping: needs root\nSKIP ping: needs root\n\
                    test result: ok. 3 passed; 0 failed; 0 ignored\n";
        let tally = tally(text);
        assert_eq!((tally.passed(), tally.skipped), (2, 1));
        assert_eq!(tally.reasons, ["ping: needs root"]);
    }

    #[test]
    fn failed_and_ignored_tests_are_named() {
        let text = "test a::b ... FAILED\ntest c ... ok\ntest d ... ignored, needs a GPU\n";
        let tally = tally(text);
        assert_eq!(tally.failures, ["a::b"]);
        assert_eq!(tally.reasons, ["d: needs a GPU"]);
    }
}
