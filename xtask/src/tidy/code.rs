/// Rust text with comments, strings and characters blanked out, so that a word found is a word of
/// the program. Lines and columns stay where they are.
pub fn only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'b' | 'c' | 'r' if !in_word => literal(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of a string that begins with its quote.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a literal with a prefix (`b"`, `r#"`, `br"`, `c"`, `b'`); 0 for any other word.
fn literal(text: &str) -> usize {
    let letters = text.len() - text.trim_start_matches(['b', 'c', 'r']).len();
    let (prefix, rest) = text.split_at(letters.min(2));
    if !prefix.ends_with('r') {
        return match rest.chars().next() {
            Some('"') => prefix.len() + quoted(rest),
            Some('\'') if prefix == "b" => prefix.len() + character(rest),
            _ => 0,
        };
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let Some(body) = rest[hashes..].strip_prefix('"') else { return 0 };
    let close = format!("\"{}", "#".repeat(hashes));
    let open = prefix.len() + hashes + 1;
    body.find(&close).map_or(text.len(), |end| open + end + close.len())
}

/// Length of a character literal that begins with its quote; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// Whether `word` stands in `line` as a word of its own.
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> String {
        only(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_no_code() {
        assert_eq!(left("a // unsafe\nb /* x /* y */ \n z */ c"), "a b c");
    }

    #[test]
    fn strings_are_no_code() {
        assert_eq!(left(r#"f("unsafe \" // x", b"y", c"z") + 1"#), "f( , , ) + 1");
        assert_eq!(left("r#\"a \" unsafe\"# + br\"x\\\" + r"), "+ + r");
    }

    #[test]
    fn characters_are_no_code_and_lifetimes_are() {
        assert_eq!(left(r"x('a', '\'', '\u{1f}', b'\\') &'a str"), "x( , , , ) &'a str");
        assert_eq!(left("number br bar c"), "number br bar c");
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = "a\n/* b\n c */ d\n\"e\n f\"\ng";
        assert_eq!(only(text).lines().count(), text.lines().count());
        assert_eq!(only(text).lines().nth(2).unwrap().trim(), "d");
    }

    #[test]
    fn a_word_is_not_part_of_a_longer_one() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
    }
}
