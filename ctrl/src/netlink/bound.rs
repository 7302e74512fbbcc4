//! Links that sockets and programs of ours hang on. Those belong to an interface, not to its name:
//! one that was deleted and made anew under the same name has neither.

use std::collections::BTreeMap;

use crate::topology::Link;

/// The interfaces that ports had at the start, by name.
#[derive(Debug, Default)]
pub(super) struct Bound(BTreeMap<String, Port>);

#[derive(Debug)]
struct Port {
    ifindex: u32,
    /// It was away, so what hung on it is gone, even if the kernel gives out the same index again.
    gone: bool,
}

impl Bound {
    /// From now on this name stands for this link only.
    pub(super) fn bind(&mut self, link: &Link) {
        self.0.insert(link.name.clone(), Port { ifindex: link.ifindex, gone: false });
    }

    /// Takes the links out of `links` that have the name of a port and are not what it was.
    pub(super) fn take_remade(&mut self, links: &mut Vec<Link>) -> Vec<Link> {
        for port in self.0.values_mut() {
            port.gone |= !links.iter().any(|link| link.ifindex == port.ifindex);
        }
        let another = |link: &mut Link| {
            self.0.get(&link.name).is_some_and(|port| port.gone || port.ifindex != link.ifindex)
        };
        links.extract_if(.., another).collect()
    }
}

#[cfg(test)]
mod tests {
    use dataplane::addr::Mac;

    use super::*;

    fn link(ifindex: u32, name: &str) -> Link {
        let name = name.to_owned();
        Link { ifindex, name, mac: Mac([2; 6]), mtu: 1_500, up: true, rx_queues: 1 }
    }

    fn bound() -> Bound {
        let mut bound = Bound::default();
        bound.bind(&link(2, "lan"));
        bound.bind(&link(3, "pods"));
        bound
    }

    #[test]
    fn a_link_made_anew_is_no_port_and_others_stay() {
        let mut links = vec![link(2, "lan"), link(4, "else"), link(9, "pods")];
        assert_eq!(bound().take_remade(&mut links), [link(9, "pods")]);
        assert_eq!(links, [link(2, "lan"), link(4, "else")]);
    }

    #[test]
    fn one_that_was_away_is_another_also_with_the_same_index() {
        let mut bound = bound();
        assert_eq!(bound.take_remade(&mut vec![link(2, "lan")]), []);
        let mut links = vec![link(2, "lan"), link(3, "pods")];
        assert_eq!(bound.take_remade(&mut links), [link(3, "pods")]);
    }

    #[test]
    fn one_that_had_another_name_for_a_while_is_the_same() {
        let mut bound = bound();
        let mut links = vec![link(2, "lan"), link(3, "tmp"), link(4, "pods")];
        assert_eq!(bound.take_remade(&mut links), [link(4, "pods")]);
        assert_eq!(bound.take_remade(&mut vec![link(2, "lan"), link(3, "pods")]), []);
    }
}
