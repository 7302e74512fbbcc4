//! Where `Desired` comes from. Each source yields all of it, or every problem that it has.

/// One TOML file.
pub mod toml;
