//! The run as a file for programs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::model::{Row, Run, SCHEMA};
use super::write::replace;

/// Writes `run` to `path`, all or nothing.
///
/// # Errors
/// When a figure is no number (JSON could not hold it), or the file cannot be written.
pub fn write(run: &Run, path: &Path) -> Result<()> {
    if let Some(row) = run.rows.iter().find(|row| !is_finite(row)) {
        anyhow::bail!("{}: a figure is not finite, and JSON has no word for that", row.id);
    }
    let mut text = serde_json::to_string_pretty(run).context("a run that is no JSON")?;
    text.push('\n');
    replace(path, &text)
}

/// Reads the run at `path`.
///
/// # Errors
/// When the file cannot be read, is no run, or has a layout other than [`SCHEMA`].
pub fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no run that we can read", path.display()))
}

/// What every version of the layout has.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

fn parse(text: &str) -> Result<Run> {
    // The version first: a field that another version lacks would be the wrong complaint.
    let Version { schema } = serde_json::from_str(text)?;
    ensure!(
        schema == SCHEMA,
        "its layout is version {schema}, ours is {SCHEMA}: use the harness of its commit"
    );
    Ok(serde_json::from_str(text)?)
}

fn is_finite(row: &Row) -> bool {
    let rounds = row.rounds.iter().flat_map(|round| [round.value, round.stolen_us]);
    let ratios = row.ratios.iter().flat_map(|ratio| ratio.rounds.iter().copied());
    let extra = row.extra.iter().map(|extra| extra.value);
    let stages = row.stages.iter().map(|stage| stage.ns);
    rounds.chain(ratios).chain(extra).chain(stages).all(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn a_run_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        for run in [example::memory(), example::wire()] {
            let path = dir.path().join("run.json");
            write(&run, &path).unwrap();
            assert!(read(&path).unwrap() == run, "another run came back");
        }
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "the temporary file is gone");
    }

    #[test]
    fn another_layout_is_refused_by_its_number() {
        let error = parse("{\"schema\": 99}").unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
    }

    #[test]
    fn errors_name_the_file_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken.json");
        fs::write(&path, "{\"schema\": 1, \"kind\": \"sideways\"}").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("broken.json") && error.contains("sideways"), "{error}");
        let error = format!("{:#}", read(&dir.path().join("none.json")).unwrap_err());
        assert!(error.contains("none.json") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut run = example::memory();
        run.rows[0].rounds[0].value = f64::NAN;
        let dir = tempfile::tempdir().unwrap();
        let error = write(&run, &dir.path().join("run.json")).unwrap_err();
        assert!(error.to_string().contains(&run.rows[0].id), "{error}");
    }
}
