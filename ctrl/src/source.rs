//! Where `Desired` comes from. Each source yields all of it, or every problem that it has.

/// The file's text.
pub mod file;
/// One TOML file.
pub mod toml;
