//! The run as one page that opens without a network. It is XML as well, so that a test can tell
//! whether it is whole.

use super::bars::{self, MET, MISSED};
use super::escape::{escape, slug};
use super::model::Run;
use super::svg::Chart;
use super::table::{Side, Table};
use super::{group, head};

const STYLE: &str = include_str!("html/style.css");

/// The report as a page, with `charts` inside.
#[must_use]
pub fn render(run: &Run, charts: &[Chart]) -> String {
    let title = escape(run.kind.title());
    let mut body = format!("<h1>{title}</h1>\n{}", facts(run));
    if !run.notes.is_empty() {
        body += &format!("<h2>Notes</h2>\n{}", list(&run.notes));
    }
    if let Some(count) = bars::count(run) {
        body += &format!("<h2>Bars: {}</h2>\n{}", escape(&count), table(&bars::table(run)));
    }
    body += &contents(run);
    body += &plots(charts, None);
    for name in head::groups(run) {
        body += &section(run, name, charts);
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn facts(run: &Run) -> String {
    let facts = head::facts(run).into_iter();
    let lines = facts.map(|(name, text)| {
        format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(&name), escape(&text))
    });
    format!("<table class=\"facts\">\n{}</table>\n", lines.collect::<String>())
}

fn contents(run: &Run) -> String {
    let links = head::groups(run).into_iter();
    let links = links.map(|name| format!("<a href=\"#{}\">{}</a>", slug(name), escape(name)));
    format!("<p class=\"contents\">{}</p>\n", links.collect::<Vec<_>>().join(" · "))
}

fn section(run: &Run, name: &str, charts: &[Chart]) -> String {
    let mut out = format!("<h2 id=\"{}\">{}</h2>\n", slug(name), escape(name));
    out += &table(&group::figures(run, name));
    let notes = group::notes(run, name);
    if !notes.is_empty() {
        out += &list(&notes);
    }
    out += &plots(charts, Some(name));
    let further = [group::latencies(run, name), group::stages(run, name)];
    out += &further.iter().flatten().map(table).collect::<String>();
    out += "<details><summary>Every round</summary>\n";
    out + &table(&group::rounds(run, name)) + "</details>\n"
}

fn plots(charts: &[Chart], group: Option<&str>) -> String {
    let mine = charts.iter().filter(|chart| chart.group.as_deref() == group);
    mine.map(|chart| format!("<figure>\n{}</figure>\n", chart.svg)).collect()
}

fn list(items: &[String]) -> String {
    let items = items.iter().map(|item| format!("<li>{}</li>\n", escape(item)));
    format!("<ul>\n{}</ul>\n", items.collect::<String>())
}

/// The table may be wider than the page; then it scrolls, not the page.
fn table(table: &Table) -> String {
    let head = table.head.iter().map(|(name, side)| cell("th", class(*side, name), name));
    let mut out = format!("<div class=\"wide\"><table>\n<tr>{}</tr>\n", head.collect::<String>());
    for row in &table.rows {
        let cells = row.iter().zip(&table.head);
        let cells = cells.map(|(text, (_, side))| cell("td", class(*side, text), text));
        out += &format!("<tr>{}</tr>\n", cells.collect::<String>());
    }
    out + "</table></div>\n"
}

fn cell(tag: &str, class: &str, text: &str) -> String {
    format!("<{tag} class=\"{class}\">{}</{tag}>", escape(text))
}

/// A few words of the tables have a colour beside their meaning.
fn class(side: Side, text: &str) -> &'static str {
    match (side, text) {
        (Side::Left, MET) => "met",
        (Side::Left, MISSED) => "missed",
        (Side::Left, _) => "left",
        (Side::Right, text) if text.contains("unreliable") => "right doubt",
        (Side::Right, _) => "right",
    }
}

#[cfg(test)]
mod tests;
