use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};

use super::generator::Size;
use super::rig::parse_mac;

/// What to measure.
#[derive(Debug, Clone, Parser)]
#[command(after_help = "\
Against a gateway of your own, from one interface of this machine to another:
  portreeve-bench wire --tx eth1 --rx eth2 --dst-mac 02:00:00:00:00:01 \\
      --dst 10.9.0.1:9 --src 10.1.1.0")]
pub struct Options {
    /// Everything: also 1 518 B and IMIX, the most without loss and latency at shares of it,
    /// requests, downloads. Takes half an hour.
    #[arg(long)]
    pub full: bool,
    /// Rounds of each part; each device has its turn in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Length of a round in milliseconds, after a warm-up.
    #[arg(long, value_name = "MS", default_value_t = 1_500)]
    pub time: u64,
    /// This part only (may be given several times).
    #[arg(long = "case", value_name = "NAME")]
    pub cases: Vec<Part>,
    /// Write the run here as JSON, besides.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The directory of the report.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Measure a second appliance, too, that wastes so many nanoseconds on each packet: shows
    /// that the figures tell.
    #[arg(long, value_name = "N", hide = true)]
    pub test_delay_ns: Option<u64>,
    /// See in a few seconds whether the harness works.
    #[arg(long, hide = true)]
    pub smoke: bool,
    /// Send from this interface, without a lab and without peers.
    #[arg(long, value_name = "IF", requires_all = ["rx", "dst_mac", "dst", "src"])]
    pub tx: Option<String>,
    /// Count what arrives on this interface. An XDP program there drops it.
    #[arg(long, value_name = "IF", requires = "tx")]
    pub rx: Option<String>,
    /// With --tx: MAC of the gateway's port.
    #[arg(long, value_name = "MAC", requires = "tx")]
    pub dst_mac: Option<String>,
    /// With --tx: what the gateway balances, over UDP.
    #[arg(long, value_name = "ADDR:PORT", requires = "tx")]
    pub dst: Option<SocketAddrV4>,
    /// With --tx: first source address; each 256 flows take the next.
    #[arg(long, value_name = "ADDR", requires = "tx")]
    pub src: Option<Ipv4Addr>,
    /// With --tx: number of flows, a power of two.
    #[arg(long, default_value_t = 1_024, requires = "tx")]
    pub flows: u32,
    /// With --tx: bytes of a frame, checksum included, 64 to 1518.
    #[arg(long, default_value_t = 64, requires = "tx")]
    pub size: u32,
    /// With --tx: packets per second; as many as possible when left out.
    #[arg(long, value_name = "PPS", requires = "tx")]
    pub rate: Option<f64>,
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// As many frames of 64 B as come through.
    #[value(name = "udp-64")]
    Udp64,
    /// As many frames of 1 518 B.
    #[value(name = "udp-1500")]
    Udp1500,
    /// As many frames of the mix.
    #[value(name = "udp-imix")]
    UdpImix,
    /// Latency at half of that.
    Latency,
    /// The most without loss, and latency at shares of it.
    Search,
    /// New connections.
    TcpConnections,
    /// Requests on open connections.
    TcpRequests,
    /// Downloads.
    TcpBulk,
}

/// Two interfaces, and what is sent from one.
#[derive(Debug, Clone)]
pub struct Between {
    /// Where it is sent.
    pub tx: String,
    /// Where it is counted.
    pub rx: String,
    /// The gateway's port.
    pub to: [u8; 6],
    /// What it balances.
    pub dst: SocketAddrV4,
    /// First source address.
    pub src: Ipv4Addr,
    /// Flows.
    pub flows: u32,
    /// Length of frames.
    pub size: Size,
    /// Packets per second.
    pub rate: Option<f64>,
}

impl Options {
    /// Length of a round.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time)
    }

    /// The parts, in the order in which they are measured. Those whose load is a share of the
    /// rate bring the rate with them.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = self.cases.clone();
        if parts.is_empty() {
            parts = vec![Part::Udp64, Part::Latency, Part::TcpConnections];
            if self.full {
                parts = Part::value_variants().to_vec();
            }
        }
        if parts.iter().any(|part| matches!(part, Part::Latency | Part::Search)) {
            parts.push(Part::Udp64);
        }
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// What `--tx` and its companions say, when they are given.
    ///
    /// # Errors
    /// When one of them makes no sense.
    pub fn between(&self) -> Result<Option<Between>> {
        let Some(tx) = self.tx.clone() else { return Ok(None) };
        ensure!(self.flows.is_power_of_two(), "--flows {}: a power of two", self.flows);
        ensure!((64..=1_518).contains(&self.size), "--size {}: 64 to 1518", self.size);
        ensure!(self.rate.is_none_or(|rate| rate >= 1.0), "--rate: at least 1");
        let mac = self.dst_mac.as_deref().context("--tx needs --dst-mac")?;
        Ok(Some(Between {
            tx,
            rx: self.rx.clone().context("--tx needs --rx")?,
            to: parse_mac(mac).context("--dst-mac")?,
            dst: self.dst.context("--tx needs --dst")?,
            src: self.src.context("--tx needs --src")?,
            flows: self.flows,
            size: Size::Bytes(self.size),
            rate: self.rate,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("wire").chain(words.split_whitespace()))
    }

    #[test]
    fn a_share_brings_what_it_is_a_share_of() {
        assert_eq!(options("--case latency").unwrap().parts(), [Part::Udp64, Part::Latency]);
        assert_eq!(options("--case tcp-bulk").unwrap().parts(), [Part::TcpBulk]);
        assert_eq!(options("--full").unwrap().parts().len(), Part::value_variants().len());
    }

    #[test]
    fn an_interface_alone_is_not_enough() {
        assert!(options("--tx eth1").is_err());
        let whole = "--tx a --rx b --dst-mac 02:00:00:00:00:01 --dst 10.9.0.1:9 --src 10.1.1.0";
        assert!(options(whole).unwrap().between().unwrap().is_some());
        let odd = options(&format!("{whole} --flows 1000")).unwrap();
        assert!(odd.between().unwrap_err().to_string().contains("power of two"));
        assert!(options("").unwrap().between().unwrap().is_none());
    }
}
