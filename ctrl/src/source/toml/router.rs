use std::ops::Range;

use toml::de::DeTable;

use super::section::Section;
use super::{Reader, keys, service, value};
use crate::desired::RouterSettings;

/// Decodes one router address; `None` without an address, which is reported.
pub fn router(reader: &Reader, table: &DeTable<'_>, span: Range<usize>) -> Option<RouterSettings> {
    let mut section = Section::open(reader, table, span, "[[router]]", keys::ROUTER);
    let address = section.need("address", "\"172.16.1.254\"", value::address);
    if let Some(address) = &address {
        section.rename(format!("[[router]] {}", address.value));
    }
    let announce = section.read("announce", service::announce).unwrap_or_default();
    Some(RouterSettings { address: address?, announce })
}
