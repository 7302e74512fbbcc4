use crate::report::model::{Row, Run};
use crate::stats::{median, range};

/// Prints the rows of a run.
pub fn print(run: &Run) {
    let mut group = "";
    for row in &run.rows {
        if row.group != group {
            println!("\n{}", row.group);
            group = &row.group;
        }
        print_row(row);
    }
    println!();
    for note in &run.notes {
        println!("note: {note}");
    }
    println!("{:.0} s", run.seconds);
}

fn print_row(row: &Row) {
    let values: Vec<_> = row.rounds.iter().map(|round| round.value).collect();
    let (least, most) = range(&values);
    let bad = row.rounds.iter().filter(|round| round.unreliable).count();
    let extra: Vec<_> =
        row.extra.iter().map(|one| format!("{} {:.2} {}", one.name, one.value, one.unit)).collect();
    println!(
        "  {:<36} {:>12.0} {:<14} ({least:.0} to {most:.0}, {bad} unreliable) {}",
        row.label,
        median(&values),
        row.unit.name(),
        extra.join(", ")
    );
    for ratio in &row.ratios {
        let (low, high) = range(&ratio.rounds);
        println!("      {:.2} ({low:.2} to {high:.2}) x {}", median(&ratio.rounds), ratio.to);
    }
    for bar in &row.bars {
        let verdict = if bar.met { "met" } else { "MISSED" };
        println!("      bar {}: {} {verdict}", bar.text, bar.reached);
    }
    for note in &row.notes {
        println!("      {note}");
    }
}
