//! What a run of the harness found, as it is written to JSON: everything that a reader needs to
//! judge it, every round included. `docs/bench-report.md` explains each field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this layout; grows when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`] of the harness that wrote it.
    pub schema: u32,
    /// What was measured.
    pub kind: Kind,
    /// Seconds since 1970 at the start.
    pub started: u64,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// The commit that was built, and whether the tree had changes besides.
    pub commit: String,
    /// What it ran on.
    pub machine: Machine,
    /// Settings that change what is measured, by name.
    pub settings: BTreeMap<String, String>,
    /// The figures, in the order of the report.
    pub rows: Vec<Row>,
    /// What a reader must know before believing a figure.
    pub notes: Vec<String>,
}

/// Which half of the harness a run is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The worker loop on simulated rings.
    Memory,
    /// Real packets between network namespaces or interfaces.
    Wire,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the processor.
    pub cpu: String,
    /// Processors online.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Kernel release.
    pub kernel: String,
    /// Whether it is a virtual machine, as the processor says.
    pub virtual_machine: bool,
    /// What the kernel says of transparent huge pages, and huge pages that are reserved.
    pub huge_pages: String,
    /// Last-level cache in bytes.
    pub last_level_cache: u64,
}

/// One figure, measured in rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Names the row for ever: `established/ipv4/64/1m`.
    pub id: String,
    /// Heading that it stands under in the report.
    pub group: String,
    /// What people read.
    pub label: String,
    /// What the figure counts.
    pub unit: Unit,
    /// Every round, in the order measured.
    pub rounds: Vec<Round>,
    /// Ratios against others, measured in the same rounds.
    pub ratios: Vec<Ratio>,
    /// Further figures of the row.
    pub extra: Vec<Extra>,
    /// Time of a burst or round trip, when it was measured.
    pub latency: Option<Latency>,
    /// Where the time goes, in the order of the pipeline.
    pub stages: Vec<Stage>,
    /// The bar of the design that the row is held to.
    pub bars: Vec<Bar>,
    /// What a reader must know before believing the row (the generator was the limit).
    pub notes: Vec<String>,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Nanoseconds per packet; less is better.
    NsPerPacket,
    /// Nanoseconds per operation that is no packet; less is better.
    Ns,
    /// Milliseconds; less is better.
    Ms,
    /// Bytes; less is better.
    Bytes,
    /// A number of things that should not happen; less is better.
    Count,
    /// Packets per second; more is better.
    PacketsPerSecond,
    /// Connections (or requests) per second; more is better.
    ConnectionsPerSecond,
    /// Bits per second; more is better.
    BitsPerSecond,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The figure.
    pub value: f64,
    /// Longest time for which the processor was taken away meanwhile, in microseconds.
    pub stolen_us: f64,
    /// Whether so much was taken that the round should not be believed.
    pub unreliable: bool,
}

/// The row divided by another figure, round by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The other: a yardstick (`null`, `miss`) or the id of a peer's row.
    pub to: String,
    /// One ratio for each round that both have.
    pub rounds: Vec<f64>,
}

/// A further figure of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extra {
    /// What it is: `Mpps per core`, `CPU-s per million packets`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit, for people.
    pub unit: String,
}

/// A distribution of times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// What was timed: `a burst of 64`, `round trip at half load`.
    pub of: String,
    /// How many were timed.
    pub count: u64,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
    /// (percentile, nanoseconds), rising: enough points to draw the curve.
    pub percentiles: Vec<(f64, u64)>,
}

/// A part of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `rings`, `parse`, `classify`, `stage`, `rewrite and tx`.
    pub name: String,
    /// Its share, in nanoseconds per packet: the difference between two prefixes of the pipeline.
    pub ns: f64,
}

/// A promise of the design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// The promise in words: `<= 30 ns`, `<= 0.9 x null + 2 x miss`.
    pub text: String,
    /// What was reached, in the same terms.
    pub reached: String,
    /// Whether it is met.
    pub met: bool,
}

impl Row {
    /// A row of these figures, whose rounds are all to be believed, and nothing else.
    #[must_use]
    pub fn of(id: impl Into<String>, group: &str, unit: Unit, values: &[f64]) -> Self {
        let round = |value: &f64| Round { value: *value, stolen_us: 0.0, unreliable: false };
        let id = id.into();
        Self {
            label: id.clone(),
            id,
            group: group.to_owned(),
            unit,
            rounds: values.iter().map(round).collect(),
            ratios: Vec::new(),
            extra: Vec::new(),
            latency: None,
            stages: Vec::new(),
            bars: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Unit {
    /// Whether a smaller figure is the better one.
    #[must_use]
    pub const fn less_is_better(self) -> bool {
        matches!(self, Self::NsPerPacket | Self::Ns | Self::Ms | Self::Bytes | Self::Count)
    }

    /// The unit for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NsPerPacket => "ns/packet",
            Self::Ns => "ns",
            Self::Ms => "ms",
            Self::Bytes => "B",
            Self::Count => "",
            Self::PacketsPerSecond => "packets/s",
            Self::ConnectionsPerSecond => "connections/s",
            Self::BitsPerSecond => "bit/s",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::report::example;

    const DOCS: &str = include_str!("../../../docs/bench-report.md");

    /// Names of fields; the names of settings are the caller's.
    fn fields(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields_of) => {
                for (name, value) in fields_of {
                    names.push(name.clone());
                    if name != "settings" {
                        fields(value, names);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| fields(value, names)),
            _ => {}
        }
    }

    #[test]
    fn every_field_is_documented() {
        let run = example::memory();
        assert!(run.rows.iter().any(|row| row.latency.is_some() && !row.stages.is_empty()));
        let mut names = Vec::new();
        fields(&serde_json::to_value(&run).unwrap(), &mut names);
        assert!(names.contains(&"percentiles".to_owned()) && names.contains(&"met".to_owned()));
        for name in names {
            assert!(DOCS.contains(&format!("\n| `{name}` |")), "{name}: docs/bench-report.md");
        }
    }

    #[test]
    fn every_unit_is_documented() {
        use super::Unit;
        let units = [
            Unit::NsPerPacket,
            Unit::Ns,
            Unit::Ms,
            Unit::Bytes,
            Unit::Count,
            Unit::PacketsPerSecond,
            Unit::ConnectionsPerSecond,
            Unit::BitsPerSecond,
        ];
        for unit in units {
            let name = serde_json::to_value(unit).unwrap();
            let name = name.as_str().unwrap();
            assert!(DOCS.contains(&format!("`{name}`")), "{name}: docs/bench-report.md");
        }
    }
}
