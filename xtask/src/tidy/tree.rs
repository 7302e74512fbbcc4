use std::path::Path;

use anyhow::{Context as _, Result};

use super::code;

const SKIPPED_DIRS: &[&str] = &["target", ".git", "artifacts", "corpus"];

/// The repository, read once.
pub struct Tree {
    /// Every text file that people write, by path.
    pub files: Vec<File>,
}

/// One text file.
pub struct File {
    /// From the top of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Of Rust, the text without comments and literals, line for line; else the same text.
    pub code: String,
}

impl File {
    /// A file with this text.
    pub fn new(path: &str, text: &str) -> Self {
        let rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let code = if rust { code::only(text) } else { text.to_owned() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is test code.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
            && !self.path.starts_with("tests/src/")
    }

    /// Lines before the tests that stand at the end of the file.
    pub fn production_lines(&self) -> usize {
        let total = self.text.lines().count();
        let is_tests = |line: &str| line.starts_with("mod tests");
        self.code.lines().position(is_tests).unwrap_or(total)
    }
}

impl Tree {
    /// Reads everything below `top` that is text.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn read(top: &Path) -> Result<Self> {
        let mut files = Vec::new();
        visit(top, top, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// Files whose path begins so.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(prefix))
    }

    /// The file at this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn visit(top: &Path, dir: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", dir.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().with_context(|| format!("look at {}", path.display()))?;
        if kind.is_dir() && !SKIPPED_DIRS.iter().any(|skipped| name == *skipped) {
            visit(top, &path, files)?;
        } else if kind.is_file()
            && name != "Cargo.lock"
            // What is not text (the steering object) is nothing that people write.
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let below = path.strip_prefix(top).unwrap_or(&path);
            files.push(File::new(&below.to_string_lossy(), &text));
        }
    }
    Ok(())
}
