use super::*;
use crate::report::example;

#[test]
fn a_report_is_aligned_and_complete() {
    assert_eq!(render(&example::small()), include_str!("small.md"));
}

#[test]
fn every_row_and_note_is_said() {
    for run in [example::memory(), example::wire()] {
        let text = render(&run);
        for row in &run.rows {
            assert!(text.contains(&row.label), "{}", row.label);
            assert!(row.notes.iter().all(|note| text.contains(note)));
        }
        assert!(text.contains("MISSED"));
    }
}

#[test]
fn many_kinds_of_further_figures_share_a_column() {
    let mut run = example::small();
    let extra = run.rows[1].extra[0].clone();
    for name in ["a", "b", "c"] {
        run.rows[1].extra.push(crate::report::model::Extra { name: name.into(), ..extra.clone() });
    }
    let text = render(&run);
    assert!(text.contains("flows: 1 000; Mpps per core: 41.7 M packets/s; a: 1 000"), "{text}");
}
