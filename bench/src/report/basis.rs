//! Which rows a ratio rests on. A ratio names a yardstick (`null`, `miss`), whose rows are called
//! `yardstick/null` or, one for each table size, `yardstick/miss/1m`; or it names a row outright.

use super::model::{Row, Run};

/// What the ids of yardsticks begin with.
pub const YARDSTICK: &str = "yardstick/";

/// Whether a ratio to `to` is one to a yardstick, not to a peer.
#[must_use]
pub fn is_yardstick(to: &str) -> bool {
    let name = to.strip_prefix(YARDSTICK).unwrap_or(to);
    matches!(name.split('/').next(), Some("null" | "miss")) || to.starts_with(YARDSTICK)
}

/// The rows that a ratio of `row` to `to` may rest on: the one with that id; or the yardstick of
/// that name; or, of several sizes, the one whose last word is that of `row`; or else all sizes.
#[must_use]
pub fn rows<'a>(run: &'a Run, row: &Row, to: &str) -> Vec<&'a Row> {
    let size = last_word(&row.id);
    let named = [to.to_owned(), format!("{YARDSTICK}{to}"), format!("{YARDSTICK}{to}/{size}")];
    let exact = named.iter().find_map(|id| run.rows.iter().find(|row| row.id == *id));
    if let Some(exact) = exact {
        return vec![exact];
    }
    let sizes = format!("{YARDSTICK}{to}/");
    run.rows.iter().filter(|row| row.id.starts_with(&sizes)).collect()
}

/// The name of a ratio for people: of a peer's id only the words in which it differs from the
/// row's own, so that `udp/64/nft` beside `udp/64/portreeve` is `nft`.
#[must_use]
pub fn short_name(id: &str, to: &str) -> String {
    let (own, other): (Vec<_>, Vec<_>) = (id.split('/').collect(), to.split('/').collect());
    let pairs = own.iter().zip(&other);
    let before = pairs.take_while(|(own, other)| own == other).count();
    let rest = own.len().min(other.len()) - before;
    let back = own.iter().rev().zip(other.iter().rev()).take(rest);
    let after = back.take_while(|(own, other)| own == other).count();
    let words = &other[before..other.len() - after];
    if words.is_empty() { to.to_owned() } else { words.join("/") }
}

/// What stands after the last `/`.
#[must_use]
pub fn last_word(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;
    use crate::report::model::Unit;

    #[test]
    fn a_peer_is_called_by_what_differs() {
        assert_eq!(short_name("udp/64/portreeve", "udp/64/nft"), "nft");
        assert_eq!(short_name("portreeve/udp/64", "kernel/udp/64"), "kernel");
        assert_eq!(short_name("udp/portreeve", "tcp/haproxy/1"), "tcp/haproxy/1");
        assert_eq!(short_name("established/ipv4/64/1k", "null"), "null");
        assert_eq!(short_name("a/b/b", "a/b"), "a/b");
        assert_eq!(short_name("a", "a"), "a");
    }

    #[test]
    fn a_yardstick_of_the_same_size_comes_first() {
        let row = |id: &str| example::row(id, Unit::NsPerPacket, &[1.0]);
        let run = example::run_of(
            ["yardstick/null", "yardstick/miss/1k", "yardstick/miss/1m"].map(row).into(),
        );
        let ids = |id: &str, to: &str| -> Vec<String> {
            rows(&run, &row(id), to).iter().map(|row| row.id.clone()).collect()
        };
        assert_eq!(ids("new/ipv4/1m", "miss"), ["yardstick/miss/1m"]);
        assert_eq!(ids("new/ipv4/16m", "miss"), ["yardstick/miss/1k", "yardstick/miss/1m"]);
        assert_eq!(ids("new/ipv4/16m", "null"), ["yardstick/null"]);
        assert!(ids("new/ipv4/16m", "udp/nft").is_empty());
    }

    #[test]
    fn yardsticks_are_told_from_peers() {
        assert!(["null", "miss", "miss/1m", "yardstick/null"].into_iter().all(is_yardstick));
        assert!(!is_yardstick("udp/64/nft") && !is_yardstick("nullified"));
    }
}
