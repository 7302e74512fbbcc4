//! The bars of the design (section 11) and what they mean on another machine: nanoseconds are for
//! one processor, multiples of the run's own yardsticks for all. `docs/bars.md` says where each
//! multiple comes from.

use crate::report::figure;
use crate::report::model::Bar;

/// What a row came to.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// Nanoseconds per packet.
    pub ns: f64,
    /// As a multiple of `null`.
    pub null: f64,
    /// As a multiple of `miss`.
    pub miss: f64,
}

/// Nanoseconds on the processor that the design speaks of, and the multiple elsewhere.
struct Promise {
    id: &'static str,
    ns: f64,
    multiple: Multiple,
}

enum Multiple {
    Null(f64),
    Miss(f64),
}

const PROMISES: &[Promise] = &[
    Promise { id: "established/ipv4/64/1k", ns: 30.0, multiple: Multiple::Null(3.0) },
    Promise { id: "established/ipv4/64/1m", ns: 60.0, multiple: Multiple::Miss(0.6) },
    Promise { id: "established/ipv6/64/1k", ns: 45.0, multiple: Multiple::Null(4.5) },
    Promise { id: "new/ipv4/64/free", ns: 120.0, multiple: Multiple::Null(12.0) },
    Promise { id: "new/ipv4/64/crowded", ns: 120.0, multiple: Multiple::Null(12.0) },
];

/// The bars of the row `id`. The multiple decides: nanoseconds of another processor prove nothing.
/// Both are shown.
#[must_use]
pub fn of(id: &str, reached: Reached) -> Vec<Bar> {
    let promises = PROMISES.iter().filter(|promise| promise.id == id);
    promises.map(|promise| bar(promise, reached)).collect()
}

fn bar(promise: &Promise, reached: Reached) -> Bar {
    let (yardstick, limit, multiple) = match promise.multiple {
        Multiple::Null(limit) => ("null", limit, reached.null),
        Multiple::Miss(limit) => ("miss", limit, reached.miss),
    };
    Bar {
        text: format!("<= {} x {yardstick} ({} ns on a Zen 5 core)", limit, promise.ns),
        reached: format!(
            "{} x {yardstick} ({} ns)",
            figure::digits(multiple),
            figure::digits(reached.ns)
        ),
        met: multiple <= limit,
    }
}
