use super::canvas::{Anchor, Canvas, GRID, INK, Stroke, TEXT, WIDTH};
use super::scale::Scale;

/// The part of a plot in which data are drawn, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Area {
    /// Below the title and right of names that are `left` wide.
    pub fn new(left: f64, height: f64) -> Self {
        let top = 44.0;
        Self { left, right: WIDTH - 40.0, top, bottom: top + height }
    }

    /// Where the legend starts, below the marks and the name of the x axis.
    pub fn below(&self) -> f64 {
        self.bottom + 56.0
    }

    /// The places of an x axis.
    pub fn across(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// The places of a y axis, which grows upwards.
    pub fn up(&self) -> (f64, f64) {
        (self.bottom, self.top)
    }
}

/// A mark of an axis: its place and its text.
pub type Mark = (f64, String);

/// The marks of `scale`, their texts by `show`.
pub fn marks(scale: &Scale, show: impl Fn(f64) -> String) -> Vec<Mark> {
    scale.marks().into_iter().map(|value| (scale.at(value), show(value))).collect()
}

/// The x axis: lines across the area, texts below, and the name with its unit.
pub fn x(canvas: &mut Canvas, area: &Area, marks: &[Mark], name: &str) {
    for (x, text) in marks {
        canvas.line(&[(*x, area.top), (*x, area.bottom)], Stroke::thin(GRID));
        canvas.text((*x, area.bottom + 17.0), Anchor::Middle, text);
    }
    canvas.line(&[(area.left, area.bottom), (area.right, area.bottom)], Stroke::thin(INK));
    let middle = f64::midpoint(area.left, area.right);
    canvas.text((middle, area.bottom + 38.0), Anchor::Middle, name);
}

/// The y axis: lines across the area, texts on its left, and the name with its unit.
pub fn y(canvas: &mut Canvas, area: &Area, marks: &[Mark], name: &str) {
    for (y, text) in marks {
        canvas.line(&[(area.left, *y), (area.right, *y)], Stroke::thin(GRID));
        canvas.text((area.left - 8.0, y + TEXT / 3.0), Anchor::End, text);
    }
    canvas.line(&[(area.left, area.top), (area.left, area.bottom)], Stroke::thin(INK));
    canvas.text_upwards((18.0, f64::midpoint(area.top, area.bottom)), name);
}
