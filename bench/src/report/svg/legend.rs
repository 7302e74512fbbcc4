use super::canvas::{Anchor, Canvas, WIDTH, width_of};

/// Height of a line of the legend, in pixels.
const LINE: f64 = 20.0;
/// Width of the sample before a name, with the gap behind it, in pixels.
const SAMPLE: f64 = 40.0;
const LEFT: f64 = 60.0;

/// Names and samples below a plot, in as many columns as the longest name allows.
#[derive(Debug)]
pub struct Legend<'a> {
    names: &'a [String],
    columns: usize,
}

impl<'a> Legend<'a> {
    /// A legend of these names.
    pub fn new(names: &'a [String]) -> Self {
        let widest = names.iter().map(|name| width_of(name)).fold(1.0, f64::max) + SAMPLE + 16.0;
        let columns = ((WIDTH - LEFT) / widest).floor().clamp(1.0, 6.0) as usize;
        Self { names, columns }
    }

    /// Its height, in pixels.
    pub fn height(&self) -> f64 {
        self.names.len().div_ceil(self.columns) as f64 * LINE + 12.0
    }

    /// Draws the names from `top` downwards; `sample` draws the sample of the name with its number
    /// between two places.
    pub fn draw(
        &self,
        canvas: &mut Canvas,
        top: f64,
        mut sample: impl FnMut(&mut Canvas, usize, (f64, f64), (f64, f64)),
    ) {
        let width = (WIDTH - LEFT) / self.columns as f64;
        for (at, name) in self.names.iter().enumerate() {
            let x = LEFT + (at % self.columns) as f64 * width;
            let y = top + (at / self.columns) as f64 * LINE + 8.0;
            sample(canvas, at, (x, y), (x + SAMPLE - 10.0, y));
            let room = width - SAMPLE - 8.0;
            canvas.text_within((x + SAMPLE, y + 4.0), Anchor::Start, room, name);
        }
    }
}
