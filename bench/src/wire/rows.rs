use super::gaps::{BAD_US, BAD_WAIT};
use super::peer::Kind;
use super::rate::Disturbed;
use crate::report::model::{Bar, Extra, Ratio, Round, Row, Unit};
use crate::stats::median;

/// The name of the extra figure that makes devices comparable that use other numbers of cores.
pub const CPU: &str = "CPU-s per million";

/// The same where thousands of bytes are what is done.
pub const CPU_BYTES: &str = "CPU-s per gigabyte";

/// What one device did in all rounds of a case.
#[derive(Debug, Clone)]
pub struct Series {
    /// The device.
    pub kind: Kind,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// Seconds of all processors, over all rounds.
    pub busy: f64,
    /// Things done (packets, connections), over all rounds.
    pub done: f64,
    /// What must be known of it.
    pub notes: Vec<String>,
}

/// A case: its rows belong together.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// First part of the ids, `wire/udp-64`.
    pub id: &'static str,
    /// The heading.
    pub group: &'static str,
    /// What is counted.
    pub unit: Unit,
}

/// A promise: so many times as much as the peer.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// The peer.
    pub to: Kind,
    /// The least ratio.
    pub least: f64,
}

impl Series {
    /// Without rounds.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, rounds: Vec::new(), busy: 0.0, done: 0.0, notes: Vec::new() }
    }

    /// Adds a round: a figure per second, what was done in it, and what processors had to do.
    pub fn push(&mut self, value: f64, done: f64, busy: f64, disturbed: Disturbed) {
        let unreliable = disturbed.gap_us > BAD_US || disturbed.waited > BAD_WAIT;
        self.rounds.push(Round { value, stolen_us: disturbed.gap_us, unreliable });
        self.done += done;
        self.busy += busy;
    }

    /// The middle of the rounds that count, or of all when none does.
    #[must_use]
    pub fn median(&self) -> f64 {
        let good: Vec<_> =
            self.rounds.iter().filter(|round| !round.unreliable).map(|round| round.value).collect();
        if good.is_empty() {
            return median(&self.rounds.iter().map(|round| round.value).collect::<Vec<_>>());
        }
        median(&good)
    }
}

/// The rows of a case. The appliance's own get a ratio to each peer, and the promises; a device with
/// its packet memory in huge pages gets one to the same without, and no other: a change of the code
/// moves both, and a comparison of runs wants all ratios of a row to move.
#[must_use]
pub fn rows(case: Case, all: &[Series], promises: &[Promise]) -> Vec<Row> {
    all.iter().map(|series| row(case, series, all, promises)).collect()
}

fn row(case: Case, series: &Series, all: &[Series], promises: &[Promise]) -> Row {
    let peers = all.iter().filter(|peer| is_held_against(series.kind, peer.kind));
    let held = promises.iter().filter(|_| series.kind == Kind::Portreeve(0));
    let per_million = 1e6 * series.busy / series.done.max(1.0);
    let name = if case.unit == Unit::BitsPerSecond { CPU_BYTES } else { CPU };
    let cpu = Extra { name: name.into(), value: per_million, unit: "s".into() };
    Row {
        id: format!("{}/{}", case.id, series.kind.id()),
        group: case.group.to_owned(),
        label: series.kind.label().to_owned(),
        unit: case.unit,
        rounds: series.rounds.clone(),
        ratios: peers.map(|peer| ratio(case, series, peer)).collect(),
        extra: if series.busy > 0.0 { vec![cpu] } else { Vec::new() },
        latency: None,
        stages: Vec::new(),
        bars: held.filter_map(|promise| bar(series, all, *promise)).collect(),
        notes: series.notes.clone(),
    }
}

fn is_held_against(kind: Kind, peer: Kind) -> bool {
    match kind.without_huge_pages() {
        Some(same) => same == peer,
        None => {
            let ours = matches!(kind, Kind::Portreeve(_));
            ours && ![kind, Kind::Alone].contains(&peer) && peer.without_huge_pages().is_none()
        }
    }
}

fn ratio(case: Case, series: &Series, peer: &Series) -> Ratio {
    Ratio { to: format!("{}/{}", case.id, peer.kind.id()), rounds: paired(series, peer) }
}

/// Round by round, since a machine's speed swings between minutes.
fn paired(series: &Series, peer: &Series) -> Vec<f64> {
    let pairs = series.rounds.iter().zip(&peer.rounds);
    pairs.filter(|(_, peer)| peer.value > 0.0).map(|(own, peer)| own.value / peer.value).collect()
}

/// As [`paired`], of rounds that count for both, or of all when none does: as the report shows it.
fn believed(series: &Series, peer: &Series) -> Vec<f64> {
    let pairs = series.rounds.iter().zip(&peer.rounds);
    let good = pairs.filter(|(own, peer)| !own.unreliable && !peer.unreliable && peer.value > 0.0);
    let good: Vec<_> = good.map(|(own, peer)| own.value / peer.value).collect();
    if good.is_empty() { paired(series, peer) } else { good }
}

fn bar(series: &Series, all: &[Series], promise: Promise) -> Option<Bar> {
    let peer = all.iter().find(|peer| peer.kind == promise.to)?;
    let reached = median(&believed(series, peer));
    Some(Bar {
        text: format!(">= {:.1} x {}", promise.least, promise.to.label()),
        reached: format!("{reached:.2} x"),
        met: reached >= promise.least,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { id: "wire/x", group: "X", unit: Unit::PacketsPerSecond };

    fn series(kind: Kind, values: &[f64]) -> Series {
        let mut series = Series::new(kind);
        values.iter().for_each(|value| series.push(*value, *value, 2.0, Disturbed::default()));
        series
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let all =
            [series(Kind::Portreeve(0), &[3.0, 8.0, 2.0]), series(Kind::Nft, &[2.0, 4.0, 1.0])];
        let rows = rows(CASE, &all, &[Promise { to: Kind::Nft, least: 1.8 }]);
        assert_eq!(rows[0].ratios[0].rounds, [1.5, 2.0, 2.0]);
        assert_eq!(rows[0].ratios[0].to, "wire/x/nft");
        assert!(rows[0].bars[0].met, "{:?}", rows[0].bars);
        assert!(rows[1].ratios.is_empty() && rows[1].bars.is_empty());
    }

    #[test]
    fn huge_pages_are_held_against_the_same_device_without() {
        let kinds = [Kind::Portreeve(0), Kind::PortreeveHuge, Kind::L2fwd, Kind::L2fwdHuge];
        let all = kinds.map(|kind| series(kind, &[1.0]));
        let rows = rows(CASE, &all, &[]);
        let to = |row: &Row| row.ratios.iter().map(|ratio| ratio.to.clone()).collect::<Vec<_>>();
        assert_eq!(to(&rows[0]), ["wire/x/l2fwd"]);
        assert_eq!(to(&rows[1]), ["wire/x/portreeve"]);
        assert!(to(&rows[2]).is_empty());
        assert_eq!(to(&rows[3]), ["wire/x/l2fwd"]);
    }

    #[test]
    fn long_gaps_and_waiting_mark_their_round() {
        let mut series = Series::new(Kind::Nft);
        series.push(1.0, 1.0, 1.0, Disturbed { gap_us: BAD_US + 1.0, waited: 0.0 });
        series.push(1.0, 1.0, 1.0, Disturbed { gap_us: 0.0, waited: 2.0 * BAD_WAIT });
        series.push(1.0, 1.0, 1.0, Disturbed::default());
        let marked: Vec<_> = series.rounds.iter().map(|round| round.unreliable).collect();
        assert_eq!(marked, [true, true, false]);
    }
}
