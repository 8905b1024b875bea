//! Watches: guarded (one bad object never stops a watch), pruned (managedFields are dropped before anything is kept),
//! with backoff. A watch that ends ends the process.

use std::fmt::Debug;
use std::hash::Hash;

use futures::{Stream, TryStreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as start};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// Objects a page of a list holds while a watch starts.
const PAGE_SIZE: u32 = 500;

/// What our kinds must be.
pub trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}
impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Watched for K {}

/// Whether a store holds what the API server has.
///
/// `Store::wait_until_ready` wakes only the last of those who wait for one store, and the controller of the kind is one of
/// them: everybody else waits for this.
pub type Filled = tokio::sync::watch::Receiver<bool>;

/// A store of all objects of a kind, whether it is filled, and the stream of touched objects that fills it. The stream
/// must be polled.
pub fn reflect<K: Watched>(
    client: Client,
) -> (
    Store<K>,
    Filled,
    impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
)
where
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (store, writer): (Store<K>, Writer<K>) = reflector::store();
    let stream = guarded(client);
    let (filled, is_filled) = tokio::sync::watch::channel(false);
    let touched = reflector::reflector(writer, stream)
        .inspect_ok(move |event| {
            if matches!(event, Event::InitDone) {
                filled.send_replace(true);
            }
        })
        .touched_objects();
    (store, is_filled, touched)
}

/// The events of all objects of a kind; one that cannot be read is left out.
pub fn guarded<K: Watched>(
    client: Client,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static {
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    start(api, config)
        .default_backoff()
        .try_filter_map(|event| std::future::ready(Ok(unguard(event))))
}

/// Takes the guard off an event; an object that cannot be read is logged and left out.
fn unguard<K: Watched>(event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
    let open = |guarded: DeserializeGuard<K>| match guarded.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Some(object)
        }
        Err(error) => {
            let name = error.metadata.name.unwrap_or_default();
            tracing::warn!(kind = %K::kind(&()), object = %name, problem = %error.error, "left out of the cache: not readable");
            None
        }
    };
    match event {
        Event::Apply(object) => open(object).map(Event::Apply),
        Event::InitApply(object) => open(object).map(Event::InitApply),
        Event::Delete(object) => open(object).map(Event::Delete),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}
