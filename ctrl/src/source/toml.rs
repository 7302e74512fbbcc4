//! One TOML file to `Desired`. Every section and every element of an array is decoded on its
//! own, so that one reading finds every mistake. All keys: `configs/full.toml`.

/// The keys of every section.
pub mod keys;
/// Byte offsets to places.
mod place;
/// A table with known keys.
mod section;
pub(crate) use section::closest;
/// One value of a section.
mod item;
/// Values that are addresses, port ranges or durations.
mod value;
/// `[gateway]`, `[worker]`, `[maglev]`, `[snat]`, `[timeouts]`, `[[port]]`.
mod settings;
/// `[kubernetes]`.
mod kubernetes;
/// `[[service]]`.
mod service;
/// `[service.health]`.
mod health;
/// What a service does besides balancing.
mod policy;
/// `[[router]]`.
mod router;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::desired::{Desired, Service};
use crate::problem::{self, Place, Problem};
use crate::validate::validate;
use place::Positions;
use section::Section;
pub use value::milliseconds;

/// What a good file holds.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the operator wants.
    pub desired: Desired,
    /// What the operator should know.
    pub warnings: Vec<Problem>,
}

/// Decodes and validates the text of `file`, which is only named in messages.
///
/// # Errors
/// Every problem of the text, in its order, warnings included; just one when it is not TOML.
pub fn load(file: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let reader = Reader { positions: Positions::new(file, text), problems: RefCell::default() };
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => return Err(vec![reader.syntax(&error, text)]),
    };
    let desired = reader.document(document.get_ref());
    let mut problems = reader.problems.take();
    problems.extend(validate(&desired));
    for problem in &mut problems {
        // What is nowhere in the file is missing from its beginning on.
        problem.place.get_or_insert_with(|| reader.place(0..0));
    }
    problem::sort(&mut problems);
    if problems.iter().any(Problem::is_error) {
        Err(problems)
    } else {
        Ok(Loaded { desired, warnings: problems })
    }
}

/// Collects problems while the document is walked.
struct Reader {
    positions: Positions,
    problems: RefCell<Vec<Problem>>,
}

impl Reader {
    fn place(&self, span: Range<usize>) -> Place {
        self.positions.place(span)
    }

    fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn error(&self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.report(Problem::error(Some(&self.place(span)), what).help(help));
    }

    fn syntax(&self, error: &toml::de::Error, text: &str) -> Problem {
        let span = error.span().unwrap_or(text.len()..text.len());
        let reason = error.message().lines().next().unwrap_or("cannot be read").to_owned();
        Problem::error(Some(&self.place(span)), format!("this is not TOML: {reason}"))
            .help("nothing else was looked at; once this is corrected, all other mistakes show")
    }

    fn document(&self, table: &DeTable<'_>) -> Desired {
        let top = Section::open(self, table, 0..0, "the file", keys::TOP);
        let mut desired = Desired {
            gateway: settings::gateway(&top),
            kubernetes: kubernetes::settings(&top),
            worker: settings::worker(&top),
            maglev: settings::maglev(&top),
            snat: settings::snat(&top),
            timeouts: settings::timeouts(&top),
            ..Desired::default()
        };
        let ports = self.tables(&top, "port").into_iter();
        desired.ports = ports.map(|(span, table)| settings::port(self, table, span)).collect();
        let routers = self.tables(&top, "router").into_iter();
        let decoded = routers.filter_map(|(span, table)| router::router(self, table, span));
        desired.routers = decoded.collect();
        let services = self.tables(&top, "service").into_iter();
        let decoded = services.map(|(span, table)| service::service(self, table, span));
        desired.services = decoded.map(Arc::<Service>::new).collect();
        desired
    }

    /// The elements of an array of tables.
    fn tables<'t>(
        &self,
        top: &Section<'_, 't>,
        key: &'static str,
    ) -> Vec<(Range<usize>, &'t DeTable<'t>)> {
        let Some(value) = top.raw(key) else { return Vec::new() };
        let wrong = |found: &Spanned<DeValue<'_>>| {
            let what =
                format!("`{key}` is a {}, but there can be several", found.get_ref().type_str());
            self.error(found.span(), what, format!("write [[{key}]] with two brackets"));
        };
        // A table with too few brackets is looked at all the same.
        if let DeValue::Table(table) = value.get_ref() {
            wrong(value);
            return vec![(value.span(), table)];
        }
        let Some(array) = value.get_ref().as_array() else {
            wrong(value);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.len());
        for element in array {
            match element.get_ref() {
                DeValue::Table(table) => tables.push((element.span(), table)),
                _ => wrong(element),
            }
        }
        tables
    }
}
