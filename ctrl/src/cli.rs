//! The command line. Exit codes: 0 all is well, 1 problems were found or something failed, 2 the
//! command line itself is wrong.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// Exit code for problems and failures.
pub const PROBLEMS: u8 = 1;

const LONG_ABOUT: &str = "\
Portreeve balances TCP and UDP services in front of servers. It takes packets from network
interfaces past the kernel (AF_XDP), answers for service addresses (ARP, NDP, ping), and spreads
connections with Maglev.

One TOML file says everything. The shortest that works:

  [[port]]
  name = \"ens5\"

  [[service]]
  name = \"web\"
  vip = \"10.10.200.1\"
  ports = [{ port = 80 }]
  backends = [\"172.16.1.93\", \"172.16.2.115\"]";

const AFTER_HELP: &str = "\
A first day:
  portreeve check gateway.toml          is it right, and how much memory will it take?
  portreeve run --config gateway.toml   forward (as root)
  portreeve status                      is it alive, what does it drop?
  portreeve services                    who gets which share?
  portreeve diff gateway.toml new.toml  what would the change move?

A running gateway reads its file again when it changes and on SIGHUP; a wrong file changes nothing.
Exit codes: 0 fine, 1 problems, 2 wrong usage.";

const RUN_LONG: &str = "\
Forward packets as a configuration file says, until SIGTERM or SIGINT.

Needs root, and a bpffs outside of any private mount namespace for the pins:
  mount -t bpf bpf /sys/fs/bpf

The steering program stays attached when the process ends, so that a restart loses as little as
possible; `portreeve detach` removes it. SIGHUP or a change of the file reloads it.

  portreeve run --config /etc/portreeve/gateway.toml";

const CHECK_LONG: &str = "\
Look for everything that is wrong with a configuration file, and say what to write instead. All
mistakes are named at once, each with file, line and column. If there are none, say how much memory
the configuration will take.

Looks at this host too: do the interfaces exist, is every backend reached through one of them, do
source ports clash with the host's own? --offline leaves that out, to check a file elsewhere.

  portreeve check gateway.toml
  portreeve check --offline gateway.toml && scp gateway.toml gw1:/etc/portreeve/";

const DIFF_LONG: &str = "\
Say what a change would do before it is made: services, backends and ports that come and go, and
for each service the share of its flows that would reach another backend.

Established flows of `snat` services stay where they are, unless their backend is removed: then
they are reset. New flows go where the new table says.

  portreeve diff /etc/portreeve/gateway.toml new.toml";

const FLOWS_LONG: &str = "\
Ask a running gateway for connections: who talks to which backend through which source address.

  portreeve flows --service web
  portreeve flows --json --limit 1000 | jq '.[] | select(.idle_ms > 60000)'";

const CAPTURE_LONG: &str = "\
Write what the workers of a running gateway receive, send and drop to a file that tshark and
Wireshark read (pcapng). A packet that was dropped says why in its comment, one that another worker
owns says so. What the steering program leaves to the kernel is not seen: tcpdump sees that.

  portreeve capture --write drops.pcapng drop and not arp
  portreeve capture host 10.0.0.9 and port 80 | tshark -r - -T fields -e frame.comment
  portreeve capture --seconds 10 --snaplen 9018 --write web.pcapng service web

While nobody captures, it costs nothing. What comes faster than it can be written is counted and left
out; workers never wait. One capture runs at a time.";

const DETACH_LONG: &str = "\
Take the steering program of a stopped gateway off its interfaces and remove its pins. From then on
the kernel sees all packets again, those for the gateway's addresses too. Refused while a gateway
runs with this directory.

  systemctl stop portreeve && portreeve detach";

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, about = "Kernel-bypass load balancer and gateway")]
#[command(long_about = LONG_ABOUT, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward packets as a configuration file says
    #[command(long_about = RUN_LONG)]
    Run(RunArgs),
    /// Look for everything that is wrong with a configuration file
    #[command(long_about = CHECK_LONG)]
    Check(CheckArgs),
    /// Say what a change would do before it is made
    #[command(long_about = DIFF_LONG)]
    Diff(DiffArgs),
    /// Ask a running gateway how it is
    Status(ClientArgs),
    /// Ask a running gateway for its services, backends and shares
    Services(ClientArgs),
    /// Ask a running gateway for connections
    #[command(long_about = FLOWS_LONG)]
    Flows(FlowsArgs),
    /// Write packets of a running gateway to a file
    #[command(long_about = CAPTURE_LONG, after_help = crate::capture::words::HELP)]
    Capture(CaptureArgs),
    /// Take the steering program of a stopped gateway off its interfaces
    #[command(long_about = DETACH_LONG)]
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
    #[arg(long, value_name = "N")]
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
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(PROBLEMS)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => commands::run::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Services(args) => commands::services::run(&args),
        Command::Flows(args) => commands::flows::run(&args),
        Command::Capture(args) => commands::capture::run(&args),
        Command::Detach(args) => commands::detach::run(&args),
    }
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
    fn every_command_that_has_choices_teaches_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let client = matches!(command.get_name(), "status" | "services");
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            let example = format!("portreeve {}", command.get_name());
            assert!(client || long.contains(&example), "{example}");
        }
    }
}
