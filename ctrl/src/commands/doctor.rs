use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::client;
use super::file::File;
use crate::api_types::Status;
use crate::cli::{DoctorArgs, Output};
use crate::desired::{Desired, Gateway};
use crate::doctor::{Facts, Finding, Severity, examine, owners};
use crate::problem::Problem;

/// Looks at this host and prints what is wrong with it: exit code 0 when nothing is, 1 for
/// warnings, 2 for errors.
///
/// # Errors
/// When a configuration that was named cannot be read, or the kernel does not tell of its interfaces.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let named = args.config.as_deref().map(File::read).transpose()?;
    let mut config = named.and_then(|file| load(&file, &mut findings));
    let socket = socket(args, config.as_ref().map(|(desired, _)| desired));
    let status = client::get_as::<Status>(&socket, "/v1/status").ok();
    if args.config.is_none()
        && let Some(status) = &status
        && let Ok(file) = File::read(Path::new(&status.config))
    {
        config = load(&file, &mut findings);
    }
    let pin_dir = match (&args.pin_dir, &config) {
        (Some(dir), _) => dir.clone(),
        (None, Some((desired, _))) => desired.gateway.pin_dir.clone(),
        (None, None) => Gateway::default().pin_dir,
    };
    let facts = Facts::gather(config, &pin_dir, status)?;
    findings.extend(examine(&facts));
    if args.probe {
        findings.extend(owners(&facts)?);
    }
    findings.sort_by_key(|finding| finding.severity);
    if args.json || args.output == Some(Output::Json) {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", render(&findings));
    }
    let worst = findings.iter().map(|finding| finding.severity).min();
    Ok(ExitCode::from(match worst {
        Some(Severity::Error) => 2,
        Some(Severity::Warning) => 1,
        Some(Severity::Fine) | None => 0,
    }))
}

/// The configuration, or findings that say why there is none.
fn load(file: &File, findings: &mut Vec<Finding>) -> Option<(Desired, Vec<Problem>)> {
    match file.load() {
        Ok(loaded) => Some((loaded.desired, loaded.warnings)),
        Err(problems) => {
            findings.extend(problems.iter().map(Finding::from));
            None
        }
    }
}

fn socket(args: &DoctorArgs, desired: Option<&Desired>) -> PathBuf {
    match (&args.socket, desired) {
        (Some(socket), _) => socket.clone(),
        (None, Some(desired)) => desired.gateway.api.clone(),
        (None, None) => Gateway::default().api,
    }
}

fn render(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let mut out = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Fine => "fine",
        };
        out += &format!("{word}: {} [{}]\n", finding.what, finding.id);
        if let Some(help) = &finding.help {
            out += &format!("  what to do: {help}\n");
        }
    }
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    out + &format!("{errors} errors, {warnings} warnings\n")
}
