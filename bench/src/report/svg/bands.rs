use super::axis::Area;
use super::canvas::{Anchor, Canvas, TEXT, width_of};

/// Height of a row with the gap below, in pixels.
const BAND: f64 = 30.0;
/// Height of its bar.
pub const THICK: f64 = 18.0;
/// Longer names are cut off: the bars need room.
const NAMES_MOST: f64 = 340.0;

/// Rows as horizontal bars below each other, with their names on the left.
#[derive(Debug)]
pub struct Bands {
    /// Where the bars are drawn.
    pub area: Area,
}

impl Bands {
    /// Room for a bar for each of these names. `right` pixels stay free for figures.
    pub fn new(names: &[&str], right: f64) -> Self {
        let widest = names.iter().map(|name| width_of(name)).fold(60.0, f64::max);
        let mut area = Area::new(widest.min(NAMES_MOST) + 24.0, names.len() as f64 * BAND + 8.0);
        area.right -= right;
        Self { area }
    }

    /// The upper edge of the bar with this number.
    pub fn top(&self, number: usize) -> f64 {
        self.area.top + number as f64 * BAND + (BAND - THICK) / 2.0 + 4.0
    }

    /// The middle of the bar with this number.
    pub fn middle(&self, number: usize) -> f64 {
        self.top(number) + THICK / 2.0
    }

    /// Writes the name of the bar with this number.
    pub fn name(&self, canvas: &mut Canvas, number: usize, name: &str) {
        let place = (self.area.left - 10.0, self.baseline(number));
        canvas.text_within(place, Anchor::End, self.area.left - 24.0, name);
    }

    /// Writes the figure of the bar with this number behind its end.
    pub fn figure(&self, canvas: &mut Canvas, number: usize, end: f64, text: &str) {
        canvas.text((end + 8.0, self.baseline(number)), Anchor::Start, text);
    }

    fn baseline(&self, number: usize) -> f64 {
        self.middle(number) + TEXT / 3.0
    }
}
