use serde_json::Value;

/// A value as YAML, in blocks.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write_block(value, 0, &mut out);
    out
}

fn write_block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                *out += &format!("{}{}:", " ".repeat(indent), scalar(&name.as_str().into()));
                write_inner(inner, indent + 2, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let from = out.len();
                write_block(item, indent + 2, out);
                // The mark takes the place of the first line's last two spaces.
                out.replace_range(from + indent..from + indent + 2, "- ");
            }
        }
        _ => *out += &format!("{}{}\n", " ".repeat(indent), scalar(value)),
    }
}

fn write_inner(value: &Value, indent: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        write_block(value, indent, out);
    } else {
        *out += &format!(" {}\n", scalar(value));
    }
}

/// Text stands bare where no reader of YAML takes it for anything else.
fn scalar(value: &Value) -> String {
    let bare = |text: &str| {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "./-".contains(c));
        let special = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
        starts && plain && !special.contains(&text.to_lowercase().as_str())
    };
    match value {
        Value::String(text) if bare(text) => text.clone(),
        // JSON is YAML.
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_indented_and_doubtful_words_quoted() {
        let value = json!({
            "a": {"list": [{"x": 1, "z": [true]}, "No"], "none": {}, "path": ".spec", "text": "a: b"},
        });
        let want = "\
a:
  list:
    - x: 1
      z:
        - true
    - \"No\"
  none: {}
  path: \".spec\"
  text: \"a: b\"
";
        assert_eq!(text(&value), want);
    }
}
