use std::fmt::Write as _;

/// Which side of a column its text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// A table for people: a head, rows, columns as wide as they need to be.
#[derive(Debug)]
pub struct Columns {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A table with this head.
    pub fn new(head: &[(&str, Side)]) -> Self {
        let sides = head.iter().map(|(_, side)| *side).collect();
        let names = head.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { sides, rows: vec![names] }
    }

    /// Adds a row with a text for each column.
    pub fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table as text.
    pub fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), side) in row.iter().zip(&widths).zip(&self.sides) {
                let _ = match side {
                    Side::Left => write!(line, "{cell:<width$}  "),
                    Side::Right => write!(line, "{cell:>width$}  "),
                };
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// A number of bytes in the largest unit that leaves at least 1.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A time in its two largest units.
pub fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Columns::new(&[("NAME", Side::Left), ("N", Side::Right)]);
        table.row(vec!["a".into(), "10".into()]);
        assert_eq!(table.render(), "NAME   N\na     10\n");
    }

    #[test]
    fn bytes_have_a_readable_unit() {
        assert_eq!(
            [bytes(999), bytes(1_536), bytes(u64::MAX)],
            ["999 B", "1.5 KiB", "16777216.0 TiB"]
        );
    }
}
