use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::iproute::{ip, ip_batch};
use crate::netns::Netns;
use crate::process::Process;
use crate::program::search_path;

/// One machine of the lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    /// Position in the lab, for MAC addresses.
    pub(crate) number: u8,
    netns: Netns,
}

/// How a program ended, and what it said.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What was run.
    pub command: String,
    /// Whether it ended with 0.
    pub success: bool,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// The standard output of a program that succeeded.
    ///
    /// # Errors
    /// When it did not; the message carries what it said.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success, "{} failed: {} {}", self.command, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

impl Host {
    pub(crate) fn create(netns_name: &str, name: &str, number: u8) -> Result<Self> {
        let host = Self { name: name.to_owned(), number, netns: Netns::create(netns_name)? };
        // Duplicate address detection would keep addresses unusable for a second or two.
        for which in ["all", "default"] {
            host.sysctl(&format!("net.ipv6.conf.{which}.accept_dad"), "0")?;
        }
        host.ip_batch("link set lo up")?;
        Ok(host)
    }

    /// The name that the test gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its network namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Adds an address with its prefix length (`10.0.0.1/24`) to an interface.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn address(&self, interface: &str, address: &str) -> Result<()> {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip_batch(&format!("address add {address} dev {interface}{nodad}"))
    }

    /// Adds a route (`default`, `10.0.0.0/8`) through a router; the family is the router's.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn route(&self, destination: &str, via: &str) -> Result<()> {
        let family = if via.contains(':') { "-6" } else { "-4" };
        self.ip(&[family, "route", "add", destination, "via", via]).map(drop)
    }

    /// Sets a kernel parameter of this host (`net.ipv4.ip_forward`).
    ///
    /// # Errors
    /// When there is none of that name, or the value does not suit it.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.enter(|| std::fs::write(&path, value))?
            .with_context(|| format!("set {name} to {value} on {}", self.name))
    }

    /// Makes it a router of both families, as every gateway in a test is: what leaks past the
    /// appliance is then forwarded by the kernel, and counted.
    ///
    /// # Errors
    /// When a parameter cannot be set.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("net.ipv4.ip_forward", "1")?;
        self.sysctl("net.ipv6.conf.all.forwarding", "1")
    }

    /// Joins interfaces in a bridge of this name.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn bridge(&self, name: &str, interfaces: &[&str]) -> Result<()> {
        self.ip_batch(&format!("link add {name} type bridge\nlink set {name} up"))?;
        let join = |port: &&str| format!("link set {port} master {name}\n");
        self.ip_batch(&interfaces.iter().map(join).collect::<String>())
    }

    /// Runs `ip` for this host.
    ///
    /// # Errors
    /// When it says no.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        ip(&[&["-n", self.netns.name()], args].concat())
    }

    /// Runs a batch of `ip` commands, one a line.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        ip_batch(self.netns.name(), lines)
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the result.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<Ran> {
        let mut command = Command::new(program);
        // Ctrl-C is for the test alone, which then ends what runs inside its hosts.
        command.args(args).env("PATH", search_path()).stdin(Stdio::null()).process_group(0);
        let output = self
            .enter(|| command.output())?
            .with_context(|| format!("start {program} on {}", self.name))?;
        Ok(Ran {
            command: format!("{program} {} (on {})", args.join(" "), self.name),
            success: output.status.success(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a program in the background.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        Process::spawn(&self.netns, command)
    }

    /// Runs `action` on a thread inside this host's network: sockets that it opens are the host's.
    ///
    /// # Errors
    /// When the thread may not enter the namespace.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        self.netns.enter(action)
    }

    /// The MAC of one of its interfaces, as the kernel prints it.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn mac(&self, interface: &str) -> Result<String> {
        let links = self.ip(&["-json", "link", "show", "dev", interface])?;
        let links: serde_json::Value = serde_json::from_str(&links).context("parse ip's JSON")?;
        let mac = links[0]["address"].as_str().context("the link has no address")?;
        Ok(mac.to_owned())
    }

    /// As [`Self::mac`], as it stands in frames.
    ///
    /// # Errors
    /// As [`Self::mac`].
    pub fn mac_bytes(&self, interface: &str) -> Result<[u8; 6]> {
        let text = self.mac(interface)?;
        let bytes: Result<Vec<_>, _> = text.split(':').map(|b| u8::from_str_radix(b, 16)).collect();
        bytes?.try_into().ok().with_context(|| format!("{text} is no MAC"))
    }

    /// The MAC that this host has learnt for a neighbour; `None` when it knows none.
    ///
    /// # Errors
    /// When the neighbour table cannot be read.
    pub fn neighbour(&self, address: &str) -> Result<Option<String>> {
        let found = self.ip(&["-json", "neigh", "show", "to", address])?;
        let found: serde_json::Value = serde_json::from_str(&found).context("parse ip's JSON")?;
        Ok(found[0]["lladdr"].as_str().map(str::to_owned))
    }
}
