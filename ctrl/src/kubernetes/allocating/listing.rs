use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Error};

use crate::kubernetes::api::pool::IpPool;
use crate::kubernetes::api::service::Service;
use crate::kubernetes::kinds::{Kind, Store, Watched};
use crate::kubernetes::store::{Collection, News};

/// Objects in one answer.
const PAGE: u32 = 500;
/// Gives watches the time to catch up.
const PAUSE: Duration = Duration::from_millis(100);

/// All services and pools, as the API server had them when it was asked.
#[derive(Debug)]
pub(super) struct Listed(Store);

/// Reads everything, past every cache.
pub(super) async fn list(client: Client, again: bool) -> Result<Listed, Error> {
    if again {
        tokio::time::sleep(PAUSE).await;
    }
    let mut store = Store::default();
    for which in [Watched::Pools, Watched::Services] {
        let objects = all(&client, &which.kind()).await?;
        store.take(which, News::All(objects, None));
    }
    Ok(Listed(store))
}

/// All objects of a kind; none of one that there is not.
async fn all(client: &Client, kind: &Kind) -> Result<Vec<DynamicObject>, Error> {
    for version in kind.versions {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource(version));
        match pages(&api).await {
            Err(Error::Api(status)) if status.code == 404 => {}
            listed => return listed,
        }
    }
    Ok(Vec::new())
}

async fn pages(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, Error> {
    let mut all = Vec::new();
    let mut params = ListParams { limit: Some(PAGE), ..ListParams::default() };
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(all);
        }
    }
}

impl Listed {
    /// Whether the watches have told just this: then nothing that they tell later is older.
    pub fn is_known_to(&self, store: &Store) -> bool {
        same(&self.0.pools, &store.pools) && same(&self.0.services, &store.services)
    }

    /// The pools.
    pub fn pools(&self) -> Vec<IpPool> {
        self.0.pools.iter().map(|(_, pool)| (**pool).clone()).collect()
    }

    /// The services.
    pub fn services(&self) -> Vec<Service> {
        self.0.services.iter().map(|(_, service)| (**service).clone()).collect()
    }
}

fn same<T: PartialEq>(listed: &Collection<T>, told: &Collection<T>) -> bool {
    listed.iter().eq(told.iter())
}
