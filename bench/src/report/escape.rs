/// `text` such that it stands for itself in HTML, XML and their attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML has no way to write most control characters.
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// `text` as part of a file name or of an address: small letters, digits and hyphens.
pub fn slug(text: &str) -> String {
    let words =
        text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("a<b & \"c\">'d'\n\0"), "a&lt;b &amp; &quot;c&quot;&gt;&#39;d&#39;  ");
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("UDP, 64 B (IPv4)"), "udp-64-b-ipv4");
    }
}
