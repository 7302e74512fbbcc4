use serde::{Deserialize, Deserializer};

/// Reads `null` as the empty value: programs in Go write it for lists and maps without entries.
pub(super) fn as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
