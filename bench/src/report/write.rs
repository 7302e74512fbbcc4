use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::model::Run;
use super::{html, json, markdown, svg};

/// Writes every form of the report into `dir`, which is made when it is missing: `KIND.json`,
/// `KIND.md`, `KIND.html` and one `KIND-NAME.svg` for each plot. `KIND` is `memory` or `wire`.
/// Files of an earlier report are replaced.
///
/// # Errors
/// When a figure is no number, or a file cannot be written.
pub fn write_all(run: &Run, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let kind = run.kind.word();
    let charts = svg::charts(run);
    json::write(run, &dir.join(format!("{kind}.json")))?;
    replace(&dir.join(format!("{kind}.md")), &markdown::render(run))?;
    replace(&dir.join(format!("{kind}.html")), &html::render(run, &charts))?;
    for chart in &charts {
        replace(&dir.join(format!("{kind}-{}.svg", chart.name)), &chart.svg)?;
    }
    Ok(())
}

/// Puts `text` in the place of the file at `path`: whoever reads sees the old file or the new one,
/// never a part.
///
/// # Errors
/// When the file cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&aside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_form_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        write_all(&example::memory(), &dir).unwrap();
        let names = names(&dir);
        for name in ["memory.json", "memory.md", "memory.html", "memory-flows.svg"] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = replace(&dir.path().join("none/run.json"), "").unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
    }
}
