use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::addr::Addr;

/// Prefixes of both families, each with a value; the longest that covers an address speaks for it.
#[derive(Debug, Clone)]
pub struct Prefixes<T> {
    v4: PrefixMap<Ipv4Net, T>,
    v6: PrefixMap<Ipv6Net, T>,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { v4: PrefixMap::new(), v6: PrefixMap::new() }
    }
}

impl<T: PartialEq> PartialEq for Prefixes<T> {
    fn eq(&self, other: &Self) -> bool {
        self.v4.iter().eq(other.v4.iter()) && self.v6.iter().eq(other.v6.iter())
    }
}

impl<T> Prefixes<T> {
    /// Whether there are none: then nothing has to be looked up.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The value of the longest prefix that covers `addr`.
    #[must_use]
    pub fn longest(&self, addr: Addr) -> Option<&T> {
        match addr.to_ip() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, value)| value),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, value)| value),
        }
    }

    /// Whether some prefix covers `addr`.
    #[inline]
    #[must_use]
    pub fn cover(&self, addr: Addr) -> bool {
        !self.is_empty() && self.longest(addr).is_some()
    }
}

impl<T> FromIterator<(IpNet, T)> for Prefixes<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(iter: I) -> Self {
        let mut all = Self::default();
        for (prefix, value) in iter {
            match prefix {
                IpNet::V4(net) => drop(all.v4.insert(net, value)),
                IpNet::V6(net) => drop(all.v6.insert(net, value)),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_speaks_for_an_address() {
        let all = [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("fd00::/16", 3)];
        let all: Prefixes<i32> = all.iter().map(|(net, n)| (net.parse().unwrap(), *n)).collect();
        let value = |text: &str| all.longest(text.parse::<IpAddr>().unwrap().into()).copied();
        assert_eq!([value("10.2.0.1"), value("10.1.2.3")], [Some(1), Some(2)]);
        assert_eq!([value("fd00::1"), value("fe00::1"), value("11.0.0.1")], [Some(3), None, None]);
        assert!(!all.cover(Addr::v4([11, 0, 0, 1])) && Prefixes::<()>::default().is_empty());
    }
}
