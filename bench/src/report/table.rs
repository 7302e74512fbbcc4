//! Tables of text that are Markdown and read well in a terminal, too.

/// Which side of a column its text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A table: a head, rows, columns as wide as they need to be.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name and side of each column.
    pub head: Vec<(String, Side)>,
    /// A text for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head and no rows.
    #[must_use]
    pub fn new(head: &[(&str, Side)]) -> Self {
        let head = head.iter().map(|(name, side)| ((*name).to_owned(), *side)).collect();
        Self { head, rows: Vec::new() }
    }

    /// The table as Markdown, its columns padded.
    #[must_use]
    pub fn markdown(&self) -> String {
        let names = self.head.iter().map(|(name, _)| cell(name)).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(|text| cell(text)).collect());
        let rows: Vec<Vec<String>> = std::iter::once(names).chain(rows).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut lines: Vec<String> = rows.iter().map(|row| self.line(row, &widths)).collect();
        lines.insert(1, self.rule(&widths));
        lines.join("\n") + "\n"
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(&self.head).zip(widths);
        let padded = cells.map(|((text, (_, side)), width)| match side {
            Side::Left => format!(" {text:<width$} |"),
            Side::Right => format!(" {text:>width$} |"),
        });
        std::iter::once("|".to_owned()).chain(padded).collect()
    }

    fn rule(&self, widths: &[usize]) -> String {
        let rules = self.head.iter().zip(widths).map(|((_, side), width)| match side {
            Side::Left => format!("{}|", "-".repeat(width + 2)),
            Side::Right => format!("{}:|", "-".repeat(width + 1)),
        });
        std::iter::once("|".to_owned()).chain(rules).collect()
    }
}

/// A cell is one line, and a bar inside would end it.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_and_bars_are_escaped() {
        let mut table = Table::new(&[("what", Side::Left), ("n", Side::Right)]);
        table.rows.push(vec!["a|b\nc".into(), "1 000".into()]);
        table.rows.push(vec!["d".into(), "2 µs".into()]);
        let expected = "\
| what   |     n |
|--------|------:|
| a\\|b c | 1 000 |
| d      |  2 µs |
";
        assert_eq!(table.markdown(), expected);
    }
}
