use anyhow::{Context as _, Result};
use serde_json::Value;

const RECORDED: &str = include_str!("../../../ctrl/tests/data/lbipam.jsonl");

/// What was done, and what came of it.
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// How the operator was started.
    pub flags: Value,
    /// What was done at each step.
    pub steps: Vec<Vec<Value>>,
    /// What was seen after each step, in each of the ways in which it can end.
    outcomes: Vec<Vec<Value>>,
}

/// All of them.
pub fn scenarios() -> Result<Vec<Scenario>> {
    RECORDED.lines().map(|line| Scenario::read(line).context("a record is cut")).collect()
}

fn list(value: &Value) -> Option<Vec<Value>> {
    value.as_array().cloned()
}

impl Scenario {
    fn read(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        let steps = record["steps"].as_array()?.iter().map(|step| list(&step["do"]));
        let outcomes = record["outcomes"].as_array()?.iter().map(|outcome| list(&outcome["seen"]));
        Some(Self {
            name: record["name"].as_str()?.to_owned(),
            flags: record["flags"].clone(),
            steps: steps.collect::<Option<_>>()?,
            outcomes: outcomes.collect::<Option<_>>()?,
        })
    }

    /// The steps at which this differs from the outcome that it is nearest to, and how.
    pub fn differing(&self, ours: &[Value]) -> (Vec<usize>, String) {
        let against = |outcome: &Vec<Value>| {
            let steps = ours.iter().zip(outcome).enumerate();
            let differ = steps.filter(|(_, (ours, theirs))| ours != theirs);
            differ
                .map(|(at, (ours, theirs))| {
                    (at, format!("step {at}\nours   {ours}\ntheirs {theirs}\n"))
                })
                .unzip()
        };
        let all = self.outcomes.iter().map(against);
        all.min_by_key(|(steps, _): &(Vec<usize>, _)| steps.len()).unwrap_or_default()
    }
}
