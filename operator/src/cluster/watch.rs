//! Watches: guarded (one bad object never stops a watch), pruned (managedFields are dropped before anything is kept),
//! with backoff. A watch that ends ends the process.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{Stream, TryStreamExt, stream};
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
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
/// must be polled; what it yields stands in the store, or has just left it.
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
    reflect_telling(client, |_| ())
}

/// What was removed.
#[derive(Debug)]
pub enum Gone<'a, K> {
    /// As it was read last.
    Read(&'a K),
    /// It never could be read: no more is known of it.
    Unread(&'a ObjectMeta),
}

/// What is there and cannot be read, by UID: no store holds it.
#[derive(Debug, Default)]
struct Unread(HashMap<String, ObjectMeta>);

impl Unread {
    /// An object as it is now.
    fn see<K: Watched>(&mut self, object: &DeserializeGuard<K>) {
        self.forget(object);
        if let (Err(unread), Some(uid)) = (&object.0, object.uid()) {
            let metadata = ObjectMeta {
                name: unread.metadata.name.clone(),
                namespace: unread.metadata.namespace.clone(),
                uid: Some(uid.clone()),
                ..ObjectMeta::default()
            };
            self.0.insert(uid, metadata);
        }
    }

    fn forget<K: Watched>(&mut self, object: &DeserializeGuard<K>) {
        if let Some(uid) = object.uid() {
            self.0.remove(&uid);
        }
    }

    /// Takes out those that a list does not hold.
    fn all_but(&mut self, listed: &HashSet<String>) -> Vec<ObjectMeta> {
        let gone = self.0.extract_if(|uid, _| !listed.contains(uid));
        gone.map(|(_, metadata)| metadata).collect()
    }
}

/// As [`reflect`]; tells of each object that is removed, before the store forgets it: when the watch says so, and when a list
/// made anew (410 Gone, a broken watch) does not hold it any more. That an object is not in the store is no sign of it: while
/// the watch starts, none is.
pub fn reflect_telling<K: Watched>(
    client: Client,
    removed: impl Fn(Gone<'_, K>) + Send + 'static,
) -> (
    Store<K>,
    Filled,
    impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
)
where
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (store, writer): (Store<K>, Writer<K>) = reflector::store();
    let (known, mut listed, mut unread) = (store.clone(), HashSet::new(), Unread::default());
    let last = store.clone();
    let stream = raw(client)
        .inspect_ok(move |event| match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(object.uid());
                unread.see(object);
            }
            Event::InitDone => {
                // One of the same name that was made since is another object.
                let is_gone = |old: &Arc<K>| old.uid().is_none_or(|uid| !listed.contains(&uid));
                known
                    .state()
                    .iter()
                    .filter(|old| is_gone(old))
                    .for_each(|old| removed(Gone::Read(old)));
                for gone in unread.all_but(&listed) {
                    // One that was read before is told as it was then.
                    if known_as(&known, &gone).is_none() {
                        removed(Gone::Unread(&gone));
                    }
                }
                listed = HashSet::new();
            }
            Event::Delete(object) => {
                unread.forget(object);
                match &object.0 {
                    Ok(object) => removed(Gone::Read(object)),
                    Err(unread) => match known_as(&known, &unread.metadata) {
                        Some(old) => removed(Gone::Read(&old)),
                        None => removed(Gone::Unread(&unread.metadata)),
                    },
                }
            }
            Event::Apply(object) => unread.see(object),
        })
        .try_filter_map(move |event| std::future::ready(Ok(unguard(event, |gone| known_as(&last, gone)))));
    fill(store, writer, stream)
}

/// As [`reflect`]; shows each event before the store has it.
pub fn reflect_seen<K: Watched>(
    client: Client,
    seen: impl Fn(&Event<K>) + Send + 'static,
) -> (
    Store<K>,
    Filled,
    impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
)
where
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (store, writer): (Store<K>, Writer<K>) = reflector::store();
    let last = store.clone();
    let stream = raw(client)
        .try_filter_map(move |event| std::future::ready(Ok(unguard(event, |gone| known_as(&last, gone)))))
        .inspect_ok(seen);
    fill(store, writer, stream)
}

/// Fills a store, and tells of each object that was touched once the store shows it. Of a list that is made anew (410 Gone, a
/// broken watch) the store shows nothing before the list is whole: who is told of an object earlier looks it up, finds
/// nothing or what it was before, and nobody tells him again.
fn fill<K: Watched>(
    store: Store<K>,
    writer: Writer<K>,
    stream: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
) -> (
    Store<K>,
    Filled,
    impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
)
where
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (filled, is_filled) = tokio::sync::watch::channel(false);
    let (held, mut writer) = (store.clone(), writer);
    let touched = stream
        .map_ok(move |event| {
            let before = match event {
                Event::InitDone => held.state(),
                Event::Init | Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => vec![],
            };
            writer.apply_watcher_event(&event);
            let touched: Vec<Arc<K>> = match event {
                Event::Apply(object) | Event::Delete(object) => vec![Arc::new(object)],
                Event::Init | Event::InitApply(_) => vec![],
                Event::InitDone => {
                    filled.send_replace(true);
                    let is_gone = |old: &Arc<K>| held.get(&ObjectRef::from_obj(&**old)).is_none();
                    let gone = before.into_iter().filter(is_gone);
                    gone.chain(held.state()).collect()
                }
            };
            let each = touched.into_iter().map(Arc::unwrap_or_clone);
            stream::iter(each.map(Ok::<_, watcher::Error>))
        })
        .try_flatten();
    (store, is_filled, touched)
}

/// The events of all objects of a kind; one that cannot be read is left out, and of one that is removed the metadata suffice.
pub fn guarded<K: Watched + Default>(
    client: Client,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static {
    let bare = |metadata: &ObjectMeta| {
        let mut bare = K::default();
        *bare.meta_mut() = metadata.clone();
        Some(bare)
    };
    raw(client).try_filter_map(move |event| std::future::ready(Ok(unguard(event, bare))))
}

/// The events of all objects of a kind, also of those that cannot be read: they are there.
fn raw<K: Watched>(
    client: Client,
) -> impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send + 'static {
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    start(api, config).default_backoff()
}

/// An object as it was read last, where it is the one with this metadata.
fn known_as<K: Watched>(known: &Store<K>, metadata: &ObjectMeta) -> Option<K> {
    let at = ObjectRef::<K>::new(metadata.name.as_deref().unwrap_or_default());
    let at = match &metadata.namespace {
        Some(namespace) => at.within(namespace),
        None => at,
    };
    let old = known.get(&at).filter(|old| old.uid() == metadata.uid)?;
    Some((*old).clone())
}

/// Takes the guard off an event; an object that cannot be read is logged and left out. Where it is removed, that is told of it
/// as it was known before: nobody is to keep it for ever.
fn unguard<K: Watched>(
    event: Event<DeserializeGuard<K>>,
    known: impl Fn(&ObjectMeta) -> Option<K>,
) -> Option<Event<K>> {
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
        Event::Delete(DeserializeGuard(Err(unread))) => known(&unread.metadata).map(Event::Delete),
        Event::Delete(object) => open(object).map(Event::Delete),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
