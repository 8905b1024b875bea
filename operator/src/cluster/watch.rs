//! Watches: guarded (one bad object never stops a watch), pruned (managedFields are dropped before anything is kept),
//! with backoff. A watch that ends ends the process.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

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
    reflect_telling(client, |_| ())
}

/// As [`reflect`]; tells of each object that is removed, before the store forgets it: when the watch says so, and when a list
/// made anew (410 Gone, a broken watch) does not hold it any more. That an object is not in the store is no sign of it: while
/// the watch starts, none is.
pub fn reflect_telling<K: Watched>(
    client: Client,
    removed: impl Fn(&K) + Send + 'static,
) -> (
    Store<K>,
    Filled,
    impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
)
where
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (store, writer): (Store<K>, Writer<K>) = reflector::store();
    let (known, mut listed) = (store.clone(), HashSet::new());
    let stream = raw(client)
        .inspect_ok(move |event| match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.extend(object.uid()),
            Event::InitDone => {
                // One of the same name that was made since is another object.
                let is_gone = |old: &Arc<K>| old.uid().is_none_or(|uid| !listed.contains(&uid));
                known
                    .state()
                    .iter()
                    .filter(|old| is_gone(old))
                    .for_each(|old| removed(old));
                listed = HashSet::new();
            }
            Event::Delete(object) => {
                if let Ok(object) = &object.0 {
                    removed(object);
                }
            }
            Event::Apply(_) => {}
        })
        .try_filter_map(|event| std::future::ready(Ok(unguard(event))));
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
    let stream = guarded(client).inspect_ok(seen);
    fill(store, writer, stream)
}

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
    raw(client).try_filter_map(|event| std::future::ready(Ok(unguard(event))))
}

/// The events of all objects of a kind, also of those that cannot be read: they are there.
fn raw<K: Watched>(
    client: Client,
) -> impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send + 'static {
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    start(api, config).default_backoff()
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::StreamExt;
    use kube::client::Body;
    use kubechat_crds::ChatRequest;
    use serde_json::{Value, json};
    use tokio::sync::Notify;

    use super::*;

    fn turn(name: &str) -> Value {
        json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
            "metadata": {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "5",
            "managedFields": [{"manager": "kubectl", "operation": "Update"}]}, "spec": {"prompt": "x"}})
    }

    /// An API server that has one turn, `old`, and then says that it was removed.
    fn server() -> Client {
        Client::new(
            tower::service_fn(|request: http::Request<Body>| async move {
                let watched = request.uri().query().unwrap_or_default().contains("watch=");
                let body = if watched {
                    json!({"type": "DELETED", "object": turn("old")}).to_string() + "\n"
                } else {
                    json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequestList",
                        "metadata": {"resourceVersion": "5"}, "items": [turn("old")]})
                    .to_string()
                };
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body.into_bytes())))
            }),
            "default",
        )
    }

    #[tokio::test]
    async fn what_was_there_at_the_start_is_not_told_as_removed_and_what_is_removed_is_told_while_it_is_known()
     {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&told);
        let (store, _, stream) = reflect_telling::<ChatRequest>(server(), move |turn| {
            noted.lock().unwrap().push(turn.name_any());
        });
        let mut stream = std::pin::pin!(stream);
        // As it is listed, but for what nobody reads; the store does not show it yet.
        let listed = stream.next().await.unwrap().unwrap();
        assert_eq!(listed.name_any(), "old");
        assert!(listed.managed_fields().is_empty());
        assert!(store.state().is_empty() && told.lock().unwrap().is_empty());
        // As it is removed.
        assert_eq!(stream.next().await.unwrap().unwrap().name_any(), "old");
        assert_eq!(*told.lock().unwrap(), ["old"]);
    }

    /// An API server that lists the first turns, says 410 Gone to the watch, lists the second ones, and then notifies.
    fn relisting(lists: [Vec<Value>; 2], done: Arc<Notify>) -> Client {
        let lists = Arc::new(Mutex::new(lists.into_iter()));
        Client::new(
            tower::service_fn(move |request: http::Request<Body>| {
                let (lists, done) = (Arc::clone(&lists), Arc::clone(&done));
                async move {
                    let watched = request.uri().query().unwrap_or_default().contains("watch=");
                    let body = if watched {
                        if lists.lock().unwrap().len() == 0 {
                            done.notify_one();
                            std::future::pending::<()>().await;
                        }
                        let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                            "reason": "Expired", "message": "too old"});
                        json!({"type": "ERROR", "object": gone}).to_string() + "\n"
                    } else {
                        let items = lists.lock().unwrap().next().unwrap();
                        json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequestList",
                            "metadata": {"resourceVersion": "5"}, "items": items})
                        .to_string()
                    };
                    Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body.into_bytes())))
                }
            }),
            "default",
        )
    }

    #[tokio::test]
    async fn what_a_list_made_anew_does_not_hold_any_more_is_told_and_what_cannot_be_read_is_still_there() {
        let mut unreadable = turn("unreadable");
        unreadable["spec"] = json!(7);
        let mut again = turn("again");
        again["metadata"]["uid"] = json!("another");
        let first = ["kept", "gone", "again", "unreadable"].map(turn).to_vec();
        let second = vec![turn("kept"), again, unreadable];
        let done = Arc::new(Notify::new());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&told);
        let client = relisting([first, second], Arc::clone(&done));
        let (store, _, stream) = reflect_telling::<ChatRequest>(client, move |turn| {
            noted.lock().unwrap().push(turn.uid().unwrap());
        });
        let mut stream = std::pin::pin!(stream);
        let watch_again = async { while stream.next().await.is_some() {} };
        tokio::select! { () = done.notified() => {}, () = watch_again => panic!("the watch ended") }
        let mut told = told.lock().unwrap().clone();
        told.sort();
        assert_eq!(told, ["again", "gone"]);
        let names: Vec<_> = store.state().iter().map(|t| t.name_any()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
