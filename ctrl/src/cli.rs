//! The command line. Exit codes: 0 all is well, 1 problems were found or something failed, 2 the
//! command line itself is wrong, 3 `drain --wait` has waited in vain; `doctor`: 1 warnings, 2 errors.

/// What `--help` says at length.
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api_types::{Address, VipOrder};
use crate::commands;
use crate::trace::{End, Target};

/// Exit code for problems and failures.
pub const PROBLEMS: u8 = 1;
/// Exit code of `drain --wait` when the limit is over and flows are left.
pub const FLOWS_LEFT: u8 = 3;

/// A year: nobody waits longer for a capture.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, about = "Kernel-bypass load balancer and gateway")]
#[command(long_about = words::LONG_ABOUT, after_help = words::AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward packets as a configuration file says
    #[command(long_about = words::RUN_LONG)]
    Run(RunArgs),
    /// Look for everything that is wrong with a configuration file
    #[command(long_about = words::CHECK_LONG)]
    Check(CheckArgs),
    /// Say what a change would do before it is made
    #[command(long_about = words::DIFF_LONG)]
    Diff(DiffArgs),
    /// Ask a running gateway how it is
    Status(ClientArgs),
    /// Ask a running gateway for its services, backends and shares
    Services(ClientArgs),
    /// Ask a running gateway for the cluster's pools of addresses, and who has which
    Pools(PoolsArgs),
    /// Ask a running gateway which leases it holds, or waits for
    Leases(ClientArgs),
    /// Ask a running gateway for connections
    #[command(long_about = words::FLOWS_LONG)]
    Flows(FlowsArgs),
    /// Give a backend or VIP no new flows, and wait until none is left
    #[command(long_about = words::DRAIN_LONG)]
    Drain(DrainArgs),
    /// Give a drained backend or VIP new flows again
    #[command(long_about = words::UNDRAIN_LONG)]
    Undrain(UndrainArgs),
    /// Announce an address, or leave it to another gateway
    #[command(long_about = words::VIP_LONG)]
    Vip(VipArgs),
    /// Say what a running gateway would do with a packet, and why
    #[command(long_about = words::TRACE_LONG)]
    Trace(TraceArgs),
    /// Say what is wrong with this host, and what to do
    #[command(long_about = words::DOCTOR_LONG)]
    Doctor(DoctorArgs),
    /// Write packets of a running gateway to a file
    #[command(long_about = words::CAPTURE_LONG, after_help = crate::capture::words::HELP)]
    Capture(CaptureArgs),
    /// Take the steering program of a stopped gateway off its interfaces
    #[command(long_about = words::DETACH_LONG)]
    Detach(DetachArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Directory on a bpffs for links and maps, instead of gateway.pin_dir
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
    /// Socket of the admin API, instead of gateway.api
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Waste so many nanoseconds on each packet: shows that a benchmark notices
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub test_delay_ns: u64,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Do not look at this host
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The configuration in force
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The configuration to come
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
}

/// Arguments of commands that ask a running gateway.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Socket of the admin API
    #[arg(long, value_name = "PATH", default_value = "/run/portreeve/api.sock")]
    pub socket: PathBuf,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `pools`.
#[derive(Debug, Args)]
pub struct PoolsArgs {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// How the answer is printed
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    pub output: Option<Output>,
}

/// Arguments of `flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// Connections to show, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
}

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// A VIP, a backend, or a backend with a port
    #[arg(value_name = "VIP|BACKEND", value_parser = address)]
    pub what: Address,
    /// Wait until no open flow is left, but not longer than this (500ms, 30s, 5m, 1h)
    #[arg(long, value_name = "LIMIT", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// Arguments of `undrain`.
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// What was drained
    #[arg(value_name = "VIP|BACKEND", value_parser = address)]
    pub what: Address,
}

/// Arguments of `vip`.
#[derive(Debug, Args)]
pub struct VipArgs {
    /// What to do
    #[command(subcommand)]
    pub command: VipCommand,
}

/// What to do with an address.
#[derive(Debug, Subcommand)]
pub enum VipCommand {
    /// Announce it
    Hold(HoldArgs),
    /// Announce it no more
    Release(WhichVip),
}

/// Arguments of `vip hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Which
    #[command(flatten)]
    pub which: WhichVip,
    /// Only for this long, unless it is said again (500ms, 3s, 1m)
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lease: Option<Duration>,
}

/// Which addresses an order is about.
#[derive(Debug, Args)]
pub struct WhichVip {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// The address, or `all`
    #[arg(value_name = "ADDR", value_parser = one_or_all)]
    pub address: VipOrder,
}

/// Arguments of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// How to ask
    #[command(flatten)]
    pub client: ClientArgs,
    /// Who sends: ADDR or ADDR:PORT, an IPv6 address with a port in brackets
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub from: End,
    /// To whom: ADDR:PORT/tcp, ADDR:PORT/udp, or ADDR for ARP, NDP and ping
    #[arg(long, value_name = "ADDR[:PORT][/PROTO]")]
    pub to: Target,
    /// The port (interface) that it comes in through; else by the kernel's route back
    #[arg(long = "in", value_name = "PORT")]
    pub in_port: Option<String>,
    /// Length of the IP packet in bytes; IPv4 is sent with DF
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub size: u16,
    /// TTL or hop limit
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub ttl: u8,
    /// How the answer is printed
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    pub output: Option<Output>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration file; else that of the running gateway
    #[arg(value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Socket of the admin API, instead of gateway.api
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Where the steering program is pinned, instead of gateway.pin_dir
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
    /// Ask the links whether somebody else has our addresses (ARP probes, duplicate detection)
    #[arg(long)]
    pub probe: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// How the findings are printed
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    pub output: Option<Output>,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Human,
    /// One JSON value
    Json,
}

/// Arguments of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Which packets; none: all
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// The file to write; without it, standard output if that is no terminal
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// End after so many packets
    #[arg(long, short, value_name = "N")]
    pub count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    pub seconds: Option<u64>,
    /// Bytes of each packet
    #[arg(long, short, value_name = "N", default_value_t = crate::capture::SNAPLEN)]
    pub snaplen: u16,
    /// Socket of the admin API
    #[arg(long, value_name = "PATH", default_value = "/run/portreeve/api.sock")]
    pub socket: PathBuf,
}

/// Arguments of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Where the steering program is pinned
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/portreeve")]
    pub pin_dir: PathBuf,
}

/// Runs the program; the whole of `main`.
#[must_use]
pub fn main() -> ExitCode {
    end_quietly_when_unheard();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(PROBLEMS)
        }
    }
}

/// Printing panics when it fails: whoever reads has gone away, or the disk is full. That is no mistake
/// of the program, and ends it like any other failure.
fn end_quietly_when_unheard() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|words| words.starts_with("failed printing to ")) {
            std::process::exit(PROBLEMS.into());
        }
        usual(panic);
    }));
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => commands::run::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Services(args) => commands::services::run(&args),
        Command::Pools(args) => commands::pools::run(&args),
        Command::Leases(args) => commands::leases::run(&args),
        Command::Flows(args) => commands::flows::run(&args),
        Command::Drain(args) => commands::drain::drain(&args),
        Command::Undrain(args) => commands::drain::undrain(&args),
        Command::Vip(args) => commands::vip::run(&args.command),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Capture(args) => commands::capture::run(&args),
        Command::Detach(args) => commands::detach::run(&args),
    }
}

/// `172.16.1.93`, `172.16.1.93:80`, `fd00::93` or `[fd00::93]:80`.
fn address(text: &str) -> Result<Address, String> {
    let alone = text.parse().map(|address| Address { address, port: None });
    let with_port = text.parse::<SocketAddr>();
    let with_port = with_port.map(|at| Address { address: at.ip(), port: Some(at.port()) });
    alone.or(with_port).map_err(|_| "write an address, or address:port ([address]:port)".into())
}

fn one_or_all(text: &str) -> Result<VipOrder, String> {
    if text == "all" {
        return Ok(VipOrder::default());
    }
    let address = text.parse().map_err(|_| "write an address, or all".to_owned())?;
    Ok(VipOrder { address: Some(address), lease_ms: None })
}

fn duration(text: &str) -> Result<Duration, String> {
    let ms = crate::source::toml::milliseconds(text);
    ms.map(Duration::from_millis).ok_or_else(|| "write a whole number with ms, s, m or h".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn two_words_about_how_the_answer_is_printed_conflict() {
        let trace = "portreeve trace --from 10.0.0.1 --to 10.10.200.1:80/tcp --json -o human";
        for line in [trace, "portreeve doctor --json -o human"] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{line}");
        }
    }

    #[test]
    fn every_command_that_has_choices_teaches_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let client = matches!(command.get_name(), "status" | "services" | "pools" | "leases");
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            let example = format!("portreeve {}", command.get_name());
            assert!(client || long.contains(&example), "{example}");
        }
    }
}
