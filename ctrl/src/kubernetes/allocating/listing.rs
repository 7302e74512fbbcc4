use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Error};

use crate::kubernetes::api::pool::IpPool;
use crate::kubernetes::api::service::Service;
use crate::kubernetes::kinds::{Kind, Store, Watched};
use crate::kubernetes::pages::{self, Unlisted};
use crate::kubernetes::store::{Collection, News};

/// Gives watches the time to catch up.
const PAUSE: Duration = Duration::from_millis(100);

/// All services and pools, as the API server had them when it was asked.
#[derive(Debug)]
pub(super) struct Listed(Store);

/// Reads everything, past every cache.
pub(super) async fn list(client: Client, again: bool) -> Result<Listed, Unlisted> {
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
async fn all(client: &Client, kind: &Kind) -> Result<Vec<DynamicObject>, Unlisted> {
    for version in kind.versions {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource(version));
        match pages::all(&api, ListParams::default()).await {
            Err(Unlisted::Refused(Error::Api(status))) if status.code == 404 => {}
            listed => return listed.map(|(objects, _)| objects),
        }
    }
    Ok(Vec::new())
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
