use std::fmt::Write as _;

use crate::report::escape::escape;

/// Width of every plot, in pixels.
pub const WIDTH: f64 = 900.0;
/// Size of text, in pixels.
pub const TEXT: f64 = 12.0;
/// Width of a letter, in pixels. Fonts differ, and here nobody can measure; this is a wide one.
const LETTER: f64 = 7.2;
/// What is not data.
pub const INK: &str = "#333333";
/// Lines behind the data.
pub const GRID: &str = "#dddddd";

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    pub colour: &'static str,
    /// In pixels.
    pub width: f64,
    /// Lengths of dashes and gaps; empty for a line without gaps.
    pub dash: &'static str,
}

impl Stroke {
    /// A line of one pixel.
    pub fn thin(colour: &'static str) -> Self {
        Self { colour, width: 1.0, dash: "" }
    }
}

/// A drawing on white, so that it can be read on any background. Places are pixels from the upper
/// left corner.
#[derive(Debug)]
pub struct Canvas {
    height: f64,
    title: String,
    body: String,
}

impl Canvas {
    /// An empty drawing with a title at its top.
    pub fn new(title: &str, height: f64) -> Self {
        let mut canvas = Self { height, title: title.to_owned(), body: String::new() };
        let (title, x) = (escape(title), WIDTH / 2.0);
        canvas.push(&format!(
            r##"<text x="{x:.1}" y="24" font-size="15" font-weight="bold" text-anchor="middle">{title}</text>"##
        ));
        canvas
    }

    /// A filled rectangle.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        let width = width.max(0.0);
        self.push(&format!(
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"##
        ));
    }

    /// A line through these points.
    pub fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let places: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let Stroke { colour, width, dash } = stroke;
        let dash =
            if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
        let places = places.join(" ");
        self.push(&format!(
            r##"<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>"##
        ));
    }

    /// Text on one line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.word(), escape(text));
        self.push(&format!(
            r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"##
        ));
    }

    /// Text that is cut off where it would be wider than `width`; whole when pointed at.
    pub fn text_within(&mut self, (x, y): (f64, f64), anchor: Anchor, width: f64, text: &str) {
        let (whole, anchor) = (escape(text), anchor.word());
        let shown = escape(&cut(text, width));
        self.push(&format!(
            r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"><title>{whole}</title>{shown}</text>"##
        ));
    }

    /// Text that is read from below.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escape(text);
        self.push(&format!(
            r##"<text transform="translate({x:.1} {y:.1}) rotate(-90)" text-anchor="middle">{text}</text>"##
        ));
    }

    /// A shape of our own.
    pub fn shape(&mut self, points: &[(f64, f64)], colour: &str) {
        let places: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let places = places.join(" ");
        self.push(&format!(r##"<polygon points="{places}" fill="{colour}"/>"##));
    }

    /// A filled circle.
    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        self.push(&format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}"/>"##));
    }

    /// The drawing as an SVG document.
    pub fn finish(self) -> String {
        let (height, title, body) = (self.height, escape(&self.title), self.body);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}" font-family="sans-serif" font-size="{TEXT}" fill="{INK}">
<rect x="0" y="0" width="{WIDTH}" height="{height}" fill="#ffffff"/>
{body}</svg>
"##
        )
    }

    fn push(&mut self, element: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// About how wide `text` is, in pixels.
pub fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

fn cut(text: &str, width: f64) -> String {
    let fits = (width / LETTER).floor() as usize;
    if text.chars().count() <= fits {
        return text.to_owned();
    }
    text.chars().take(fits.saturating_sub(1)).chain(['…']).collect()
}
