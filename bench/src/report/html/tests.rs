use roxmltree::{Document, ParsingOptions};

use super::*;
use crate::report::{example, svg};

fn page(run: &Run) -> String {
    render(run, &svg::charts(run))
}

fn text(page: &str) -> String {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).unwrap();
    document.descendants().filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_page_is_whole_and_says_everything() {
    for run in [example::memory(), example::wire()] {
        let text = text(&page(&run));
        for row in &run.rows {
            assert!(text.contains(&row.label), "{}", row.label);
            assert!(row.notes.iter().all(|note| text.contains(note)));
            assert!(row.bars.iter().all(|bar| text.contains(&bar.text)));
        }
        assert!(text.contains(&run.machine.cpu) && text.contains("2026-01-01 00:00 UTC"));
        assert!(text.contains("0123456789ab") && text.contains("Every round"));
    }
}

#[test]
fn a_page_needs_no_network() {
    let page = page(&example::wire()).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for word in ["http:", "https:", "url(", "@import", "<script", "src="] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn names_are_text_not_markup() {
    let mut run = example::wire();
    run.notes = vec!["<script>alert(\"&\")</script>".into()];
    run.settings.insert("<i>".into(), "\"&\"".into());
    let page = page(&run);
    assert!(!page.contains("<script>") && !page.contains("<i>"));
    assert!(text(&page).contains("<script>alert(\"&\")</script>"));
}

#[test]
fn bars_and_doubts_are_seen() {
    let page = page(&example::memory());
    assert!(page.contains("<td class=\"missed\">MISSED</td>"));
    assert!(page.contains("<td class=\"met\">met</td>"));
    assert!(page.contains("unreliable, 4.20 ms stolen"));
}
