use std::ops::Range;
use std::sync::Arc;

use crate::problem::Place;

/// Where the lines of a text begin.
pub struct Positions {
    file: Arc<str>,
    text: Box<str>,
    starts: Vec<usize>,
}

impl Positions {
    pub fn new(file: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text: text.into(), starts }
    }

    /// The place of a range of bytes; the caret covers what of it lies on the first line.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let line = self.starts.partition_point(|at| *at <= start) - 1;
        let begin = self.starts[line];
        let here = &self.text[start..end];
        let first = here.lines().next().unwrap_or("");
        Place {
            file: Arc::clone(&self.file),
            line: line as u32 + 1,
            column: self.text[begin..start].chars().count() as u32 + 1,
            width: first.chars().count().max(1) as u32,
        }
    }

    /// A parser's offset can lie past the end or inside a character.
    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_not_bytes() {
        let positions = Positions::new("f", "a\nü = 12\n");
        let place = positions.place(7..9);
        assert_eq!((place.line, place.column, place.width), (2, 5, 2));
    }

    #[test]
    fn the_end_of_the_text_has_a_place() {
        let place = Positions::new("f", "a\n").place(99..100);
        assert_eq!((place.line, place.column, place.width), (2, 1, 1));
    }
}
