//! Every message to an operator has one shape: what is wrong, where, and what to write instead.

use std::fmt;
use std::sync::Arc;

/// Where in a source something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters that the caret underlines, at least 1.
    pub width: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Whether a problem stops the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used; the operator should know.
    Warning,
}

/// Something wrong with what the operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration is refused.
    pub severity: Severity,
    /// Where it was written; `None` for sources without places.
    pub place: Option<Place>,
    /// What is wrong and why, one sentence without a full stop.
    pub what: String,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl Problem {
    /// An error at `place`.
    pub fn error(place: Option<&Place>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.cloned(), what: what.into(), help: None }
    }

    /// A warning at `place`.
    pub fn warning(place: Option<&Place>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, what) }
    }

    /// The same as something that does not keep the rest from working.
    #[must_use]
    pub fn demoted(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the configuration is refused for this.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Several lines in the manner of rustc: message, place, the line of `source` with a caret,
    /// help. `source` is the text that the place counts in.
    #[must_use]
    pub fn render(&self, source: Option<&str>) -> String {
        let mut out = format!("{}: {}\n", self.severity, self.what);
        if let Some(place) = &self.place {
            render_place(&mut out, place, source);
        }
        if let Some(help) = &self.help {
            let margin = self.place.as_ref().map_or(0, gutter);
            out += &format!("{:margin$} = help: {help}\n", "");
        }
        out
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Problem {
    /// One line, for logs: `file:line:column: error: what (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.what)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Puts problems into the order in which an operator meets them in the file.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| a.place.cmp(&b.place));
}

/// Renders all problems, an empty line between them.
#[must_use]
pub fn render_all(problems: &[Problem], source: Option<&str>) -> String {
    problems.iter().map(|p| p.render(source)).collect::<Vec<_>>().join("\n")
}

/// Width of the line-number column.
fn gutter(place: &Place) -> usize {
    place.line.to_string().len()
}

fn render_place(out: &mut String, place: &Place, source: Option<&str>) {
    let margin = gutter(place);
    *out += &format!("{:margin$}--> {place}\n", "");
    let index = place.line as usize - 1;
    let Some(line) = source.and_then(|text| text.lines().nth(index)) else { return };
    let before = place.column as usize - 1;
    // A tab stays a tab, so that the caret stands below what it points at.
    let pad: String =
        line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let rest = line.chars().count().saturating_sub(before).max(1);
    let carets = "^".repeat((place.width as usize).clamp(1, rest));
    *out += &format!("{:margin$} |\n{} | {line}\n{:margin$} | {pad}{carets}\n", "", place.line, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { file: "gw.toml".into(), line: 2, column: 3, width: 4 }
    }

    #[test]
    fn renders_the_line_with_a_caret_below_the_place() {
        let problem = Problem::error(Some(&place()), "bad `port`").help("write 80");
        let text = problem.render(Some("a = 1\n\tp port = x\n"));
        let want = "error: bad `port`\n --> gw.toml:2:3\n  |\n2 | \tp port = x\n  | \t ^^^^\n  = help: write 80\n";
        assert_eq!(text, want);
    }

    #[test]
    fn one_line_form_names_file_line_and_column() {
        let problem = Problem::warning(Some(&place()), "odd").help("do this");
        assert_eq!(problem.to_string(), "gw.toml:2:3: warning: odd (do this)");
    }
}
