use super::canvas::{Canvas, Stroke};

/// Colours that people with any kind of colour vision tell apart, without the yellow that white
/// swallows. Source: M. Okabe, K. Ito, "Color Universal Design", 2008.
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];
/// After all colours, the dashes change.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// What the reader came for.
pub const OURS: &str = COLOURS[0];
/// What stands beside it.
pub const PEERS: &str = "#9a9a9a";

/// The colour of the series with this number.
pub fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}

/// The line of the series with this number.
pub fn stroke(series: usize) -> Stroke {
    let dash = DASHES[series / COLOURS.len() % DASHES.len()];
    Stroke { colour: colour(series), width: 2.0, dash }
}

/// A point of the series with this number. Shapes differ as well: paper may have no colours.
pub fn mark(canvas: &mut Canvas, (x, y): (f64, f64), series: usize) {
    let colour = colour(series);
    match series % 4 {
        0 => canvas.circle((x, y), 4.0, colour),
        1 => canvas.rect((x - 3.5, y - 3.5), (7.0, 7.0), colour),
        2 => canvas.shape(&[(x, y - 4.5), (x + 4.5, y + 3.5), (x - 4.5, y + 3.5)], colour),
        _ => canvas.shape(&[(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y)], colour),
    }
}
