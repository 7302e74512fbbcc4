//! A whole list, page by page, so that no answer is larger than the API server likes to give.

use std::fmt;
use std::time::Duration;

use kube::Error;
use kube::api::{Api, DynamicObject, ListParams};
use tokio::time::timeout;

/// Objects in one answer.
const PAGE: u32 = 500;
/// An API server that is longer silent has lost the connection.
pub const ANSWER: Duration = Duration::from_secs(30);

/// Why there is no list.
#[derive(Debug)]
pub enum Unlisted {
    /// There was no answer in time.
    Silent,
    /// The answer is an error.
    Refused(Error),
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer in time"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// All objects that `params` choose, with the version of the list where it has one.
///
/// # Errors
/// When one of the pages is not given, or not in time: half a list is none.
pub async fn all(
    api: &Api<DynamicObject>,
    params: ListParams,
) -> Result<(Vec<DynamicObject>, Option<String>), Unlisted> {
    let mut all = Vec::new();
    let mut params = ListParams { limit: Some(PAGE), ..params };
    loop {
        let page = timeout(ANSWER, api.list(&params)).await.map_err(|_| Unlisted::Silent)?;
        let page = page.map_err(Unlisted::Refused)?;
        all.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok((all, page.metadata.resource_version));
        }
    }
}
