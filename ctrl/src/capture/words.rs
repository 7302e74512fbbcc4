use std::net::IpAddr;
use std::str::FromStr;

use dataplane::addr::{Addr, L4Port, Proto};
use dataplane::capture::filter::{Kind, Term};
use dataplane::capture::{Direction, Filter};
use dataplane::drop_reason::DropReason;
use ipnet::IpNet;

use crate::problem::{Place, Problem};
use crate::source::toml::closest;

/// The language, for people.
pub const HELP: &str = "\
FILTER is a list of words, all of which have to hold; `and` may stand between them, `not` before one:
  host 10.0.0.9       source or destination; of ARP messages, who asks and who is asked for
  net 10.0.0.0/8      the same, of a network
  port 80             source or destination port
  tcp udp icmp arp    what it is (icmp: ICMPv6, too); ip and ip6: IPv4 and IPv6
  service web         to or from an address and port of a service, or of a backend of it
  drop                what ended here; `drop no_flow`: for this reason (docs/drop-reasons.md)
  inbound outbound    what came in, what left";

const WORDS: [&str; 16] = [
    "host", "net", "port", "tcp", "udp", "icmp", "arp", "ip", "ip6", "service", "drop", "inbound",
    "outbound", "and", "not", "or",
];

/// Address, port and protocol of one end of a connection.
pub type End = (Addr, L4Port, Proto);

/// What is known of services.
pub trait Services {
    /// The ends of the service of this name: those of clients, and of backends.
    fn ends(&self, name: &str) -> Option<Box<[End]>>;
    /// The names of all services.
    fn names(&self) -> Vec<&str>;
}

/// Reads a filter.
///
/// # Errors
/// The first word that does not fit, with what would.
pub fn parse(text: &str, services: &dyn Services) -> Result<Filter, Problem> {
    let mut words = Words { text, rest: text, services };
    let mut terms = Vec::new();
    while let Some(mut word) = words.next() {
        if word == "and" && !terms.is_empty() {
            word = words.needed("a word that says which packets")?;
        }
        let mut wanted = true;
        while word == "not" {
            wanted = !wanted;
            word = words.needed("what must not hold")?;
        }
        terms.push((wanted, words.term(word)?));
    }
    Ok(Filter::new(terms))
}

struct Words<'a> {
    text: &'a str,
    rest: &'a str,
    services: &'a dyn Services,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.split_whitespace().next()
    }

    fn needed(&mut self, what: &str) -> Result<&'a str, Problem> {
        let end = &self.text[self.text.len()..];
        self.next()
            .ok_or_else(|| self.problem(end, format!("the filter ends where {what} should stand")))
    }

    fn term(&mut self, word: &'a str) -> Result<Term, Problem> {
        Ok(match word {
            "host" => Term::Host(Addr::from(self.value::<IpAddr>("an address", "10.0.0.9")?)),
            "net" => Term::Net(self.value::<IpNet>("a network", "10.0.0.0/8")?.trunc()),
            "port" => Term::Port(self.value("a port", "80")?),
            "tcp" => Term::Kind(Kind::Tcp),
            "udp" => Term::Kind(Kind::Udp),
            "icmp" => Term::Kind(Kind::Icmp),
            "arp" => Term::Kind(Kind::Arp),
            "ip" => Term::Kind(Kind::Ip),
            "ip6" => Term::Kind(Kind::Ip6),
            "inbound" => Term::Toward(Direction::In),
            "outbound" => Term::Toward(Direction::Out),
            "service" => Term::Ends(self.service()?),
            "drop" => Term::Dropped(self.reason()?),
            other => return Err(self.unknown(other)),
        })
    }

    fn value<T: FromStr>(&mut self, what: &str, example: &str) -> Result<T, Problem> {
        let word = self.needed(what)?;
        word.parse().map_err(|_| {
            self.problem(word, format!("`{word}` is not {what}"))
                .help(format!("write one like {example}"))
        })
    }

    fn service(&mut self) -> Result<Box<[End]>, Problem> {
        let name = self.needed("the name of a service")?;
        self.services.ends(name).ok_or_else(|| {
            let known = self.services.names();
            let help = match closest(name, &known) {
                Some(like) => format!("did you mean `{like}`?"),
                None => "`portreeve services` shows them".to_owned(),
            };
            self.problem(name, format!("there is no service `{name}`")).help(help)
        })
    }

    /// The reason after `drop`; none when another word of the language follows, or nothing.
    fn reason(&mut self) -> Result<Option<DropReason>, Problem> {
        let Some(word) = self.peek().filter(|word| !WORDS.contains(word)) else { return Ok(None) };
        self.next();
        let found = DropReason::ALL.iter().find(|reason| reason.name() == word);
        found.copied().map(Some).ok_or_else(|| {
            let names: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
            let help = match closest(word, &names) {
                Some(like) => format!("did you mean `{like}`?"),
                None => format!("the reasons are: {}", names.join(", ")),
            };
            self.problem(word, format!("`{word}` is no reason to drop a packet")).help(help)
        })
    }

    fn unknown(&self, word: &'a str) -> Problem {
        let help = match (word, closest(word, &WORDS[..13])) {
            ("or", _) => {
                "all words have to hold; capture more, and choose when you read".to_owned()
            }
            ("and", _) => "write a word before it and one behind it".to_owned(),
            (_, Some(like)) => format!("did you mean `{like}`?"),
            (_, None) => format!("the words are: {}", WORDS[..15].join(", ")),
        };
        let what = match word {
            "or" | "and" => format!("`{word}` cannot stand here"),
            _ => format!("`{word}` is no word of a filter"),
        };
        self.problem(word, what).help(help)
    }

    /// A problem with `word`, which is a part of the text.
    fn problem(&self, word: &str, what: String) -> Problem {
        let before = word.as_ptr() as usize - self.text.as_ptr() as usize;
        let place = Place {
            file: "filter".into(),
            line: 1,
            column: self.text[..before].chars().count() as u32 + 1,
            width: word.chars().count().max(1) as u32,
        };
        Problem::error(Some(&place), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    fn web() -> Box<[End]> {
        Box::new([(Addr::v4([10, 0, 0, 100]), 80, Proto::Tcp)])
    }

    impl Services for One {
        fn ends(&self, name: &str) -> Option<Box<[End]>> {
            (name == "web").then(web)
        }
        fn names(&self) -> Vec<&str> {
            vec!["web"]
        }
    }

    #[test]
    fn words_become_terms() {
        let host = Term::Host(Addr::v4([10, 0, 0, 9]));
        let cases: [(&str, Vec<(bool, Term)>); 9] = [
            ("", vec![]),
            ("host 10.0.0.9", vec![(true, host.clone())]),
            ("tcp and port 80", vec![(true, Term::Kind(Kind::Tcp)), (true, Term::Port(80))]),
            ("tcp port 80", vec![(true, Term::Kind(Kind::Tcp)), (true, Term::Port(80))]),
            ("not host 10.0.0.9", vec![(false, host)]),
            ("net fd00::/8", vec![(true, Term::Net("fd00::/8".parse().unwrap()))]),
            ("drop and udp", vec![(true, Term::Dropped(None)), (true, Term::Kind(Kind::Udp))]),
            ("drop no_flow", vec![(true, Term::Dropped(Some(DropReason::NoFlow)))]),
            (" service  web ", vec![(true, Term::Ends(web()))]),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text, &One), Ok(Filter::new(want)), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_shown_where_it_stands() {
        let cases = [
            ("host web", 6, 3, "write one like 10.0.0.9"),
            ("tcp and prot 80", 9, 4, "did you mean `port`?"),
            ("drop no_flw", 6, 6, "did you mean `no_flow`?"),
            ("service wep", 9, 3, "did you mean `web`?"),
            ("tcp or udp", 5, 2, "all words have to hold; capture more, and choose when you read"),
            ("and tcp", 1, 3, "write a word before it and one behind it"),
            ("port 70000", 6, 5, "write one like 80"),
        ];
        for (text, column, width, help) in cases {
            let problem = parse(text, &One).unwrap_err();
            let place = problem.place.as_ref().unwrap();
            assert_eq!((place.column, place.width), (column, width), "{text}");
            assert_eq!(problem.help.as_deref(), Some(help), "{text}");
        }
        for text in ["host", "tcp and", "not", "net"] {
            let problem = parse(text, &One).unwrap_err();
            assert_eq!(problem.place.as_ref().unwrap().column as usize, text.len() + 1, "{text}");
        }
    }
}
