//! What a run found, and how it is shown.

/// The run as data: what the JSON holds.
pub mod model;
