use std::num::NonZeroU16;

use ipnet::IpNet;

use super::prefixes::Prefixes;
use crate::addr::Addr;

/// What a service does besides balancing. Most services do none of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Session affinity: all flows of a client address go to one backend. The port of the client
    /// is left out of the Maglev hash, so there is no table of sessions (Cilium does the same).
    pub by_client: bool,
    /// The largest TCP segment that either end may announce to the other, in bytes.
    pub mss: Option<NonZeroU16>,
    /// Who is served; everybody without.
    pub sources: Option<Box<Sources>>,
    /// Clients that are served in mode `snat` whatever the service's mode: the backends' answers
    /// to them do not come through us.
    pub hairpin: Prefixes<()>,
}

/// Which client addresses a service has. The longest prefix decides; what no prefix covers is
/// allowed exactly when none is named as allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    prefixes: Prefixes<bool>,
    otherwise: bool,
}

impl Sources {
    /// `None` without any prefix. A prefix that is named in both is denied.
    #[must_use]
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Option<Self> {
        let allowed = allow.iter().map(|net| (*net, true));
        let prefixes: Prefixes<bool> =
            allowed.chain(deny.iter().map(|net| (*net, false))).collect();
        (!prefixes.is_empty()).then(|| Self { prefixes, otherwise: allow.is_empty() })
    }

    /// Whether this client is served.
    #[must_use]
    pub fn allow(&self, client: Addr) -> bool {
        self.prefixes.longest(client).copied().unwrap_or(self.otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(allow: &[&str], deny: &[&str]) -> Option<Sources> {
        let parse =
            |list: &[&str]| -> Vec<IpNet> { list.iter().map(|net| net.parse().unwrap()).collect() };
        Sources::new(&parse(allow), &parse(deny))
    }

    fn served(sources: &Sources, client: &str) -> bool {
        sources.allow(client.parse::<std::net::IpAddr>().unwrap().into())
    }

    #[test]
    fn without_prefixes_there_is_nothing_to_look_up() {
        assert_eq!(sources(&[], &[]), None);
    }

    #[test]
    fn a_list_of_the_allowed_denies_all_others() {
        let sources = sources(&["10.0.0.0/8", "fd00::/16"], &["10.1.0.0/16"]).unwrap();
        for (client, allowed) in
            [("10.2.0.1", true), ("10.1.0.1", false), ("11.0.0.1", false), ("fd00::1", true)]
        {
            assert_eq!(served(&sources, client), allowed, "{client}");
        }
    }

    #[test]
    fn a_list_of_the_denied_allows_all_others_and_longer_exceptions() {
        let sources = sources(&[], &["10.0.0.0/8"]).unwrap();
        assert!(!served(&sources, "10.0.0.1") && served(&sources, "11.0.0.1"));
        let both = self::sources(&["10.1.0.0/16"], &["10.0.0.0/8", "10.1.0.0/16"]).unwrap();
        assert!(!served(&both, "10.1.0.1"), "denied wins where both say the same");
    }
}
