use std::path::Path;

use crate::problem::{Problem, render_all};
use crate::source;
use crate::source::toml::{Loaded, load};

/// A configuration file with its text, which messages quote.
pub struct File {
    pub name: String,
    pub text: String,
}

impl File {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = source::file::read(path)?;
        Ok(Self { name: path.display().to_string(), text })
    }

    pub fn load(&self) -> Result<Loaded, Vec<Problem>> {
        load(&self.name, &self.text)
    }

    /// Prints problems in the manner of a compiler, with a last line that counts the errors.
    pub fn report(&self, problems: &[Problem]) {
        if problems.is_empty() {
            return;
        }
        eprintln!("{}", render_all(problems, Some(&self.text)));
        match problems.iter().filter(|problem| problem.is_error()).count() {
            0 => {}
            1 => eprintln!("{}: 1 error", self.name),
            errors => eprintln!("{}: {errors} errors", self.name),
        }
    }
}
