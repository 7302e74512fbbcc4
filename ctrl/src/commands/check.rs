use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::file::File;
use super::host;
use crate::cli::{CheckArgs, PROBLEMS};
use crate::compile::{Compiler, host_conflicts};
use crate::desired::Desired;
use crate::memory::{PortFacts, memory};
use crate::netlink;
use crate::problem::{self, Problem};
use crate::topology::Topology;

/// Prints every problem of a file, or what it will take.
///
/// # Errors
/// When the file or the state of this host cannot be read.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let file = File::read(&args.file)?;
    let loaded = match file.load() {
        Ok(loaded) => loaded,
        Err(problems) => {
            file.report(&problems);
            return Ok(ExitCode::from(PROBLEMS));
        }
    };
    let topology = if args.offline { None } else { Some(snapshot()?) };
    let mut problems = loaded.warnings;
    if let Some(topology) = &topology {
        problems.extend(on_host(&loaded.desired, topology));
    }
    problem::sort(&mut problems);
    file.report(&problems);
    if problems.iter().any(Problem::is_error) {
        return Ok(ExitCode::from(PROBLEMS));
    }
    print!("{}", summary(&file.name, &loaded.desired, topology.as_ref()));
    Ok(ExitCode::SUCCESS)
}

fn snapshot() -> anyhow::Result<Topology> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topology = runtime.block_on(netlink::snapshot());
    topology.context("cannot read this host's interfaces and routes (--offline does without)")
}

fn on_host(desired: &Desired, topology: &Topology) -> Vec<Problem> {
    match Compiler::new().compile(desired, topology, Duration::ZERO) {
        Ok(compiled) => {
            let mut problems = host_conflicts(desired, &compiled, &host::facts(desired));
            problems.extend(compiled.warnings);
            problems
        }
        Err(problems) => problems,
    }
}

fn summary(name: &str, desired: &Desired, topology: Option<&Topology>) -> String {
    let ports: Vec<&str> = desired.ports.iter().map(|port| port.name.as_str()).collect();
    let frontends: usize = desired.services.iter().map(|s| s.vips.len() * s.ports.len()).sum();
    let backends: usize = desired.services.iter().map(|service| service.backends.len()).sum();
    let facts = facts(desired, topology);
    let assumed = match topology {
        Some(_) => "",
        None => ", if every port has one queue and no jumbo frames",
    };
    format!(
        "{name}: fine{}\n\
         ports: {}\n\
         services: {} with {frontends} (VIP, port) pairs and {backends} backends\n\
         flows: {} at most\n\
         memory{assumed}:\n{}",
        if topology.is_some() { " on this host" } else { " (this host was not looked at)" },
        ports.join(", "),
        desired.services.len(),
        desired.worker.flows,
        memory(desired, facts),
    )
}

/// What the size of packet memory depends on.
pub(crate) fn facts(desired: &Desired, topology: Option<&Topology>) -> PortFacts {
    let links = desired.ports.iter().filter_map(|port| topology?.link(&port.name));
    let (mut queues, mut busiest, mut mtu) = (0, 0, 0);
    for link in links {
        queues += link.rx_queues.max(1) as usize;
        busiest += (link.rx_queues.max(1) as usize).div_ceil(desired.worker.count);
        mtu = mtu.max(link.mtu);
    }
    let ports = desired.ports.len();
    let workers = desired.worker.count;
    PortFacts { queues: queues.max(ports * workers), busiest: busiest.max(ports), mtu }
}
