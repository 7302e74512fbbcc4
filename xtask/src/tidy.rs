//! The rules of our style that a machine can check: shape, names, arrows, where `unsafe` stands.
//! Text is scanned, not parsed; what a scanner cannot decide is left to readers.

/// Files and their text.
mod tree;
/// Rust text without comments and literals.
mod code;
/// How long files and functions are.
mod length;
/// How files and tests are called.
mod names;
/// Where `unsafe` may stand.
mod unsafety;
/// Which crate may know which.
mod arrows;
/// Words that do not belong into the tree.
mod words;
/// What must be documented.
mod documented;

use std::fmt;

use anyhow::{Result, ensure};

use crate::cargo::root;
use tree::Tree;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the top of the repository.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
    /// Whether it is only worth a look.
    pub warning: bool,
}

impl Finding {
    fn error(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), warning: false }
    }

    fn warning(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(path, line, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning" } else { "error" };
        write!(f, "{kind}: {}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks the whole tree and prints what it finds.
///
/// # Errors
/// When a rule is broken; warnings alone are no error.
pub fn check() -> Result<()> {
    let tree = Tree::read(&root())?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    println!("tidy: {} files, {errors} errors", tree.files.len());
    ensure!(errors == 0, "{errors} rules of style are broken, listed above");
    Ok(())
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let rules = [
        length::check,
        names::check,
        unsafety::check,
        arrows::check,
        words::check,
        documented::check,
    ];
    rules.iter().flat_map(|rule| rule(tree)).collect()
}
