use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Reader;
use super::item::Item;

/// How alike two words must be before one is offered for the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// A table with known keys. Unknown ones are reported when it is opened.
pub struct Section<'r, 't> {
    pub reader: &'r Reader,
    table: &'t DeTable<'t>,
    span: Range<usize>,
    title: String,
    keys: &'static [&'static str],
}

impl<'r, 't> Section<'r, 't> {
    pub fn open(
        reader: &'r Reader,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        title: impl Into<String>,
        keys: &'static [&'static str],
    ) -> Self {
        let section = Self { reader, table, span, title: title.into(), keys };
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                section.unknown(key);
            }
        }
        section
    }

    /// A sub-table; `None` when it is not there or no table.
    pub fn sub(&self, key: &'static str, keys: &'static [&'static str]) -> Option<Section<'r, 't>> {
        let value = self.raw(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(Section::open(self.reader, table, value.span(), format!("[{key}]"), keys))
            }
            other => {
                let what = format!("`{key}` is a {}, but it is a section", other.type_str());
                self.reader.error(value.span(), what, format!("write [{key}] and its keys below"));
                None
            }
        }
    }

    /// A value as the parser left it.
    pub fn raw(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(self.keys.contains(&key), "{key} is missing in keys.rs");
        self.table.get(key)
    }

    /// A value to be decoded.
    pub fn item(&self, key: &'static str) -> Option<Item<'r, 't>> {
        let value = self.raw(key)?;
        Some(Item { reader: self.reader, name: format!("`{key}` of {}", self.title), value })
    }

    /// Decodes a value when it is there; a bad one is reported and counts as not there.
    pub fn read<T>(
        &self,
        key: &'static str,
        decode: impl FnOnce(&Item<'r, 't>) -> Option<T>,
    ) -> Option<T> {
        decode(&self.item(key)?)
    }

    /// The same, but it is a mistake when the key is not there.
    pub fn need<T>(
        &self,
        key: &'static str,
        example: &str,
        decode: impl FnOnce(&Item<'r, 't>) -> Option<T>,
    ) -> Option<T> {
        let item = self.item(key);
        if item.is_none() {
            self.missing(
                &format!("{} has no `{key}`", self.title),
                &format!("add {key} = {example}"),
            );
        }
        decode(&item?)
    }

    /// Reports something that is not there, at the head of the section.
    pub fn missing(&self, what: &str, help: &str) {
        self.reader.error(self.span.clone(), what, help);
    }

    /// How messages call the section.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Messages call the section by its name once that is known.
    pub fn rename(&mut self, title: impl Into<String>) {
        self.title = title.into();
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let word = if self.keys == super::keys::TOP { "section" } else { "key" };
        let what = format!("{} has no {word} `{}`", self.title, key.get_ref());
        let help = match closest(key.get_ref(), self.keys) {
            Some(like) => format!("did you mean `{like}`?"),
            None => format!("known {word}s are: {}", self.keys.join(", ")),
        };
        self.reader.error(key.span(), what, help);
    }
}

/// The word that was probably meant.
pub fn closest<'w>(written: &str, known: &[&'w str]) -> Option<&'w str> {
    let alike = |word: &&'w str| strsim::jaro_winkler(&written.to_lowercase(), word);
    let best = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then_some(best)
}
