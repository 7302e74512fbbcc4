//! Half-open flows in the order of their age, once over all and once for each pair, so that the
//! oldest of either can give way in constant time.

use super::entry::NO_NODE;

#[derive(Debug, Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

const UNLINKED: Link = Link { newer: NO_NODE, older: NO_NODE };

#[derive(Debug, Clone, Copy)]
struct Node {
    flow: u32,
    /// What the backend expects next of the client, once [`HalfOpen::number`] has said so.
    seq: u32,
    all: Link,
    pair: Link,
}

/// The two ends of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    oldest: u32,
    newest: u32,
    count: u32,
}

impl Default for Ends {
    fn default() -> Self {
        Self { oldest: NO_NODE, newest: NO_NODE, count: 0 }
    }
}

impl Ends {
    /// Flows in the list.
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }
}

/// Nodes of all half-open flows.
#[derive(Debug)]
pub(super) struct HalfOpen {
    /// Room is reserved at start and written to when first used, which keeps a restart short.
    nodes: Vec<Node>,
    free: Vec<u32>,
    all: Ends,
}

impl HalfOpen {
    pub(super) fn new(max: usize) -> Self {
        Self { nodes: Vec::with_capacity(max), free: Vec::with_capacity(max), all: Ends::default() }
    }

    pub(super) fn bytes_for(max: usize) -> usize {
        max * (size_of::<Node>() + size_of::<u32>())
    }

    pub(super) fn count(&self) -> usize {
        self.all.count()
    }

    pub(super) fn is_full(&self) -> bool {
        self.all.count() >= self.nodes.capacity()
    }

    /// The oldest half-open flow of all.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.flow_of(self.all.oldest)
    }

    /// The oldest half-open flow of a pair.
    pub(super) fn oldest_of(&self, pair: &Ends) -> Option<u32> {
        self.flow_of(pair.oldest)
    }

    fn flow_of(&self, node: u32) -> Option<u32> {
        self.nodes.get(node as usize).map(|node| node.flow)
    }

    /// Notes a new half-open flow as the youngest; `None` when there is no room.
    #[inline(always)]
    pub(super) fn push(&mut self, pair: &mut Ends, flow: u32) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let node = self.take_node();
        self.nodes[node as usize].flow = flow;
        let mut all = self.all;
        append(&mut self.nodes, &mut all, node, |n| &mut n.all);
        self.all = all;
        append(&mut self.nodes, pair, node, |n| &mut n.pair);
        Some(node)
    }

    fn take_node(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node { flow: 0, seq: 0, all: UNLINKED, pair: UNLINKED });
            self.nodes.len() as u32 - 1
        })
    }

    /// Notes what a backend expects next of its client.
    #[inline(always)]
    pub(super) fn number(&mut self, node: u32, seq: u32) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.seq = seq;
        }
    }

    /// What was noted with [`HalfOpen::number`].
    pub(super) fn seq(&self, node: u32) -> Option<u32> {
        self.nodes.get(node as usize).map(|node| node.seq)
    }

    /// Takes a flow out: its handshake is finished, or it is gone.
    pub(super) fn remove(&mut self, pair: &mut Ends, node: u32) {
        let mut all = self.all;
        unlink(&mut self.nodes, &mut all, node, |n| &mut n.all);
        self.all = all;
        unlink(&mut self.nodes, pair, node, |n| &mut n.pair);
        self.free.push(node);
    }
}

fn append(nodes: &mut [Node], ends: &mut Ends, node: u32, link: fn(&mut Node) -> &mut Link) {
    *link(&mut nodes[node as usize]) = Link { newer: NO_NODE, older: ends.newest };
    match nodes.get_mut(ends.newest as usize) {
        Some(newest) => link(newest).newer = node,
        None => ends.oldest = node,
    }
    ends.newest = node;
    ends.count += 1;
}

fn unlink(nodes: &mut [Node], ends: &mut Ends, node: u32, link: fn(&mut Node) -> &mut Link) {
    let Link { newer, older } = *link(&mut nodes[node as usize]);
    match nodes.get_mut(older as usize) {
        Some(neighbour) => link(neighbour).newer = newer,
        None => ends.oldest = newer,
    }
    match nodes.get_mut(newer as usize) {
        Some(neighbour) => link(neighbour).older = older,
        None => ends.newest = older,
    }
    ends.count -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_in_both_orders() {
        let mut list = HalfOpen::new(4);
        let (mut a, mut b) = (Ends::default(), Ends::default());
        let first = list.push(&mut a, 10).unwrap();
        list.push(&mut b, 11).unwrap();
        list.push(&mut a, 12).unwrap();
        assert_eq!(
            (list.oldest(), list.oldest_of(&a), list.oldest_of(&b)),
            (Some(10), Some(10), Some(11))
        );
        list.remove(&mut a, first);
        assert_eq!((list.oldest(), list.oldest_of(&a)), (Some(11), Some(12)));
        assert_eq!((list.count(), a.count(), b.count()), (2, 1, 1));
    }

    #[test]
    fn is_full_at_its_quota() {
        let mut list = HalfOpen::new(1);
        let mut pair = Ends::default();
        let node = list.push(&mut pair, 1).unwrap();
        assert!(list.is_full() && list.push(&mut pair, 2).is_none());
        list.remove(&mut pair, node);
        assert!(list.push(&mut pair, 2).is_some());
    }
}
