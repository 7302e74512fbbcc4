//! The same case on small pages, measured beside the ordinary one: what huge pages bring.

use anyhow::Result;
use dataplane::flow::Flow;

use super::case::Case;
use super::round::{Feed, round};
use super::world::{World, config};
use crate::pages::huge_bytes;
use crate::pages::small::SmallPages;
use crate::report::model::{Extra, Ratio, Round, Row};

/// Below this share in huge pages the machine does not give them, in percent.
const GIVEN: f64 = 50.0;
/// Above this share small pages are not what was measured, in percent.
const LEFT: f64 = 5.0;

/// A case at work.
pub struct Subject {
    /// Its world.
    pub world: World,
    /// Its packets.
    pub feed: Box<dyn Feed>,
    /// How much of its flows and both indexes lies in huge pages, in percent.
    huge: f64,
    /// Goes after the world.
    _small: Option<SmallPages>,
}

impl Subject {
    /// With the pages that this machine gives; warmed up.
    ///
    /// # Errors
    /// When its world cannot be made.
    pub fn of(case: &Case, delay_ns: u64) -> Result<Self> {
        let before = huge_bytes()?;
        let (mut world, mut feed) = case.build(delay_ns)?;
        round(&mut world, feed.as_mut());
        let huge = huge_bytes()?.saturating_sub(before) as f64;
        let table = config(&case.shape());
        let table = (table.flows * size_of::<Flow>() + table.index_bytes()) as f64;
        // Where all memory of programs gets huge pages, other things lie in them, too.
        Ok(Self { world, feed, huge: (100.0 * huge / table).min(100.0), _small: None })
    }

    /// With small pages, if the case has such a row. Until it is dropped nothing of this process
    /// gets huge pages.
    ///
    /// # Errors
    /// As [`Self::of`], or when huge pages cannot be switched off.
    pub fn on_small_pages(case: &Case, delay_ns: u64) -> Result<Option<Self>> {
        if case.small_pages.is_none() {
            return Ok(None);
        }
        let small = SmallPages::begin()?;
        Ok(Some(Self { _small: Some(small), ..Self::of(case, delay_ns)? }))
    }

    /// One round.
    pub fn round(&mut self) -> Round {
        round(&mut self.world, self.feed.as_mut())
    }
}

/// Says of a row and of its twin on small pages which is which, and holds them against each other.
pub fn tell_apart(rows: (&mut Row, &mut Row), own: &Subject, small: &Subject) {
    let (row, twin) = rows;
    twin.label += ", small pages";
    let pairs = row.rounds.iter().zip(&twin.rounds);
    let rounds = pairs.map(|(own, small)| own.value / small.value).collect();
    row.ratios.push(Ratio { to: twin.id.clone(), rounds });
    for (row, subject) in [(&mut *row, own), (&mut *twin, small)] {
        let (name, unit) = ("flows in huge pages".into(), "%".into());
        row.extra.push(Extra { name, value: subject.huge.round(), unit });
    }
    if own.huge < GIVEN {
        row.notes.push("this machine gives no huge pages: both rows have small ones".to_owned());
    }
    if small.huge > LEFT {
        twin.notes.push("some of it got huge pages all the same".to_owned());
    }
}
