use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use super::Reader;
use super::section::closest;
use crate::desired::Located;

/// One value of a section, with the words that messages call it by.
pub struct Item<'r, 't> {
    pub reader: &'r Reader,
    pub name: String,
    pub value: &'t Spanned<DeValue<'t>>,
}

impl<'r, 't> Item<'r, 't> {
    /// Reports the value.
    pub fn wrong(&self, what: impl Into<String>, help: impl Into<String>) {
        self.reader.error(self.value.span(), what, help);
    }

    /// Reports that the value is of another type than the one wanted.
    pub fn wrong_type(&self, wanted: &str, example: &str) {
        let found = self.value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.wrong(
            format!("{} is {article} {found}, but must be {wanted}", self.name),
            format!("for example {example}"),
        );
    }

    /// Ties a value to the place where it is written.
    pub fn located<T>(&self, value: T) -> Located<T> {
        Located { value, place: Some(self.reader.place(self.value.span())) }
    }

    /// A string.
    pub fn text(&self, example: &str) -> Option<&'t str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type("a string", example);
        }
        text
    }

    /// An integer in a range.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = range.clone().into_inner();
        let Some(written) = self.value.get_ref().as_integer() else {
            self.wrong_type(
                &format!("an integer from {least} to {most}"),
                &most.min(100).to_string(),
            );
            return None;
        };
        let number = u64::from_str_radix(written.as_str(), written.radix()).ok();
        let fits = number.filter(|number| range.contains(number));
        if fits.is_none() {
            self.wrong(
                format!("{} is {written}, which is out of range", self.name),
                format!("write a number from {least} to {most}"),
            );
        }
        fits
    }

    /// A transport port.
    pub fn port(&self) -> Option<u16> {
        if self.value.get_ref().as_integer().is_some_and(|port| port.as_str() == "0") {
            self.wrong(
                format!("{} is 0, and nobody can connect to port 0", self.name),
                "write a number from 1 to 65535",
            );
            return None;
        }
        self.integer(1..=u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
    }

    /// `true` or `false`.
    pub fn truth(&self) -> Option<bool> {
        let truth = self.value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type("true or false", "true");
        }
        truth
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let written = self.text(&format!("\"{}\"", names[0]))?;
        let found = words.iter().find(|(name, _)| *name == written).map(|(_, value)| *value);
        if found.is_none() {
            let list = quoted(&names);
            let help = match closest(written, &names) {
                Some(like) => format!("did you mean \"{like}\"? It can be {list}"),
                None => format!("it can be {list}"),
            };
            self.wrong(format!("{} is \"{written}\", which is not known", self.name), help);
        }
        found
    }

    /// The elements of an array, each with a name of its own.
    pub fn list(&self, example: &str) -> Option<Vec<Item<'r, 't>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.wrong_type("an array", example);
            return None;
        };
        let element = |(index, value)| Item {
            reader: self.reader,
            name: format!("element {} in {}", index + 1, self.name),
            value,
        };
        Some(array.iter().enumerate().map(element).collect())
    }
}

/// Words as a sentence lists them.
fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.as_slice() {
        [init @ .., last] if !init.is_empty() => format!("{} or {last}", init.join(", ")),
        all => all.concat(),
    }
}
