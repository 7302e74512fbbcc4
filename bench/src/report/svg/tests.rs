use roxmltree::Document;

use super::*;
use crate::report::example;
use crate::report::model::Unit;

fn texts(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    document.descendants().filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

#[test]
fn plots_are_whole_and_need_no_network() {
    let charts: Vec<Chart> = [example::memory(), example::wire()].iter().flat_map(charts).collect();
    let names: Vec<&str> = charts.iter().map(|chart| chart.name.as_str()).collect();
    let expected = [
        "flows",
        "latency-established-flows",
        "stages-established-flows",
        "rate-udp-64-b",
        "latency-udp-64-b",
        "rate-tcp-new-connections",
        "latency-tcp-new-connections",
    ];
    assert_eq!(names, expected);
    for chart in &charts {
        Document::parse(&chart.svg).unwrap();
        let rest = chart.svg.replacen("http://www.w3.org/2000/svg", "", 1);
        assert!(!rest.contains("http:") && !rest.contains("https:"), "{}", chart.name);
        assert!(!chart.svg.contains("NaN") && !chart.svg.contains("inf"), "{}", chart.name);
    }
}

#[test]
fn plots_of_a_group_name_every_row() {
    for run in [example::memory(), example::wire()] {
        for chart in charts(&run) {
            let Some(group) = &chart.group else { continue };
            let text = texts(&chart.svg);
            for row in run.rows.iter().filter(|row| row.group == *group) {
                assert!(text.contains(&row.label), "{} in {}", row.label, chart.name);
            }
        }
    }
}

#[test]
fn flows_are_drawn_as_a_line_for_each_kind() {
    let run = example::memory();
    let text = texts(&charts(&run)[0].svg);
    let series = ["yardstick/null", "yardstick/miss", "established/ipv4/64", "established/ipv6/64"];
    assert!(series.into_iter().all(|name| text.contains(name)), "{text}");
    assert!(text.contains("flows in the table") && text.contains("ns/packet"));
}

#[test]
fn names_are_text_not_markup() {
    let mut row = example::row("udp/<&\">", Unit::PacketsPerSecond, &[1.0, 2.0]);
    row.group = "<b>&\"bold\"</b>".into();
    let chart = &charts(&example::run_of(vec![row]))[0];
    assert!(texts(&chart.svg).contains("<b>&\"bold\"</b>"));
    assert!(texts(&chart.svg).contains("udp <&\">"));
}

#[test]
fn groups_that_look_alike_get_plots_of_their_own() {
    let in_group = |id: &str, group: &str| {
        let mut row = example::row(id, Unit::PacketsPerSecond, &[1.0]);
        row.group = group.into();
        row
    };
    let run = example::run_of(vec![in_group("a", "UDP 64"), in_group("b", "UDP, 64")]);
    let names: Vec<String> = charts(&run).into_iter().map(|chart| chart.name).collect();
    assert_eq!(names, ["rate-udp-64", "rate-udp-64-2"]);
}

#[test]
fn odd_figures_make_no_odd_plots() {
    let mut run = example::memory();
    for row in &mut run.rows {
        row.rounds.iter_mut().for_each(|round| round.value = 0.0);
        row.stages.iter_mut().for_each(|stage| stage.ns = -1.0);
        row.latency.iter_mut().for_each(|latency| latency.count = 0);
    }
    run.rows.push(example::row("udp/none", Unit::BitsPerSecond, &[]));
    for chart in charts(&run) {
        Document::parse(&chart.svg).unwrap();
        assert!(!chart.svg.contains("NaN") && !chart.svg.contains("inf"), "{}", chart.name);
    }
}
