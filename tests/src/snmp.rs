use anyhow::{Context as _, Result, ensure};

use crate::host::Host;

/// What the kernel of a host did itself. None of this may rise on a gateway whose appliance
/// carries the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelCounters {
    /// IPv4 packets forwarded (`Ip: ForwDatagrams`).
    pub forwarded_v4: u64,
    /// IPv6 packets forwarded (`Ip6OutForwDatagrams`).
    pub forwarded_v6: u64,
    /// TCP segments with RST sent (`Tcp: OutRsts`).
    pub resets: u64,
}

impl KernelCounters {
    /// The counters of `host` now.
    ///
    /// # Errors
    /// When `/proc` does not have them.
    pub fn read(host: &Host) -> Result<Self> {
        // Of the thread, not the process: only the thread is in the host's namespace.
        let read = |file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}"));
        let (v4, v6) = host.enter(|| (read("snmp"), read("snmp6")))?;
        let v4 = v4.context("read /proc/thread-self/net/snmp")?;
        let v6 = v6.context("read /proc/thread-self/net/snmp6")?;
        Ok(Self {
            forwarded_v4: column(&v4, "Ip:", "ForwDatagrams")?,
            forwarded_v6: row(&v6, "Ip6OutForwDatagrams")?,
            resets: column(&v4, "Tcp:", "OutRsts")?,
        })
    }

    /// Says that the kernel of `host` has taken no part since these were read.
    ///
    /// # Errors
    /// When a counter has risen; the message has both readings.
    pub fn stood_by(self, host: &Host) -> Result<()> {
        let now = Self::read(host)?;
        ensure!(self == now, "the kernel of {} took part: {self:?}, then {now:?}", host.name());
        Ok(())
    }
}

/// A number of `/proc/net/snmp`: pairs of lines, names above values.
fn column(text: &str, table: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(table));
    let (names, values) = lines.next().zip(lines.next()).with_context(|| format!("no {table}"))?;
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(key, _)| *key == name).with_context(|| format!("no {name}"))?;
    value.parse().with_context(|| format!("{name} is {value}"))
}

/// A number of `/proc/net/snmp6`: a name and a value a line.
fn row(text: &str, name: &str) -> Result<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let (_, value) = pairs.find(|(key, _)| *key == name).with_context(|| format!("no {name}"))?;
    value.trim().parse().with_context(|| format!("{name} is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_under_its_name_in_its_table() {
        let text = "Ip: Forwarding ForwDatagrams\nIp: 1 42\nTcp: OutRsts InErrs\nTcp: 7 0\n";
        assert_eq!(column(text, "Ip:", "ForwDatagrams").unwrap(), 42);
        assert_eq!(column(text, "Tcp:", "OutRsts").unwrap(), 7);
        assert!(column(text, "Tcp:", "ForwDatagrams").is_err());
    }

    #[test]
    fn a_row_is_found_by_its_whole_name() {
        let text = "Ip6OutForwDatagramsX   \t1\nIp6OutForwDatagrams             \t9\n";
        assert_eq!(row(text, "Ip6OutForwDatagrams").unwrap(), 9);
    }
}
