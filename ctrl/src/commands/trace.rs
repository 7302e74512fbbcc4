use std::process::ExitCode;

use super::client::{self, escaped};
use crate::cli::{Output, PROBLEMS, TraceArgs};
use crate::trace::{Protocol, Target, Trace, Verdict};

/// Prints what a running gateway would do with a packet.
///
/// # Errors
/// When it does not answer, or the question makes no sense to it.
pub fn run(args: &TraceArgs) -> anyhow::Result<ExitCode> {
    let trace: Trace = client::get_as(&args.client.socket, &path(args))?;
    if args.client.json || args.output == Some(Output::Json) {
        println!("{}", serde_json::to_string_pretty(&trace)?);
    } else {
        print!("{}", render(&trace));
    }
    Ok(if trace.verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::from(PROBLEMS) })
}

fn path(args: &TraceArgs) -> String {
    let mut path = format!(
        "/v1/trace?from={}&to={}&size={}&ttl={}",
        escaped(&args.from.to_string()),
        escaped(&target(&args.to)),
        args.size,
        args.ttl
    );
    if let Some(port) = &args.in_port {
        path += &format!("&in={}", escaped(port));
    }
    path
}

fn target(to: &Target) -> String {
    match to.protocol {
        Protocol::Transport(..) => to.to_string(),
        Protocol::Ping => to.addr.to_string(),
    }
}

fn render(trace: &Trace) -> String {
    let wide = trace.steps.iter().map(|step| step.at.len()).max().unwrap_or(0);
    let mut out = format!("{}\n", trace.question);
    for step in &trace.steps {
        out += &format!("  {:wide$}  {}\n", step.at, step.says);
    }
    let verdict = match trace.verdict {
        Verdict::Forwarded => "it is forwarded",
        Verdict::Answered => "it is answered",
        Verdict::Waits => "it waits, and is dropped if nobody answers",
        Verdict::Refused => "it ends here, and its sender is told",
        Verdict::Dropped => "it ends here",
        Verdict::LeftToKernel => "it is left to the kernel",
    };
    match &trace.reason {
        Some(reason) => out += &format!("{verdict}: {reason}\n"),
        None => out += &format!("{verdict}\n"),
    }
    for (title, words) in [("meaning", &trace.meaning), ("what to do", &trace.advice)] {
        if let Some(words) = words {
            out += &format!("  {title}: {words}\n");
        }
    }
    out
}
