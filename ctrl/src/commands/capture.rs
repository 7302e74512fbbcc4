use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::{Bytes, Incoming};

use super::client;
use crate::capture::pcapng::Blocks;
use crate::cli::CaptureArgs;

/// Writes the packets of a running gateway to a file as they come.
///
/// # Errors
/// When it does not answer, refuses the filter, or goes away; or when the file cannot be written.
pub fn run(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    if args.write.is_none() && std::io::stdout().is_terminal() {
        bail!(
            "a capture is not for eyes: write it to a file (--write FILE), or pipe it to `tshark -r -`"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let blocks = runtime.block_on(passed_on(args))?;
    eprintln!("{} packets", blocks.packets);
    if blocks.lost > 0 {
        eprintln!("{} more were not captured: they came too fast; a filter helps", blocks.lost);
    }
    Ok(ExitCode::SUCCESS)
}

async fn passed_on(args: &CaptureArgs) -> anyhow::Result<Blocks> {
    let path = path(args);
    let response = client::send(&args.socket, Method::GET, &path, Bytes::new()).await?;
    // Only now: a capture that is refused leaves an older file as it is.
    let mut out: Box<dyn Write> = match &args.write {
        Some(path) => {
            let file = File::create(path);
            Box::new(file.with_context(|| format!("write {}", path.display()))?)
        }
        None => Box::new(std::io::stdout()),
    };
    eprintln!("capturing; Ctrl-C ends it");
    let mut body = response.into_body();
    let mut blocks = Blocks::default();
    loop {
        tokio::select! {
            more = next(&mut body) => match more? {
                Some(bytes) => {
                    out.write_all(&blocks.take(&bytes)).context("write the capture")?;
                    out.flush().context("write the capture")?;
                }
                None => break,
            },
            interrupt = tokio::signal::ctrl_c() => {
                interrupt.context("listen for Ctrl-C")?;
                // What was captured until now still comes.
                client::send(&args.socket, Method::DELETE, "/v1/capture", Bytes::new()).await?;
            }
        }
    }
    if !blocks.ended {
        bail!("the gateway went away; what came before is in the file");
    }
    Ok(blocks)
}

async fn next(body: &mut Incoming) -> anyhow::Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the gateway went away; what came before is in the file")?;
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn path(args: &CaptureArgs) -> String {
    let filter = client::escaped(&args.filter.join(" "));
    let mut path = format!("/v1/capture?snaplen={}&filter={filter}", args.snaplen);
    let limits = [("count", args.count), ("seconds", args.seconds)];
    for (name, limit) in limits {
        if let Some(limit) = limit {
            path += &format!("&{name}={limit}");
        }
    }
    path
}
