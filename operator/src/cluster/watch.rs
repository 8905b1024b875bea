//! Watches: guarded (one bad object never stops a watch), pruned (managedFields are dropped before anything is kept),
//! with backoff. A watch that ends ends the process.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
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

/// What was removed.
#[derive(Debug)]
pub enum Gone<'a, K> {
    /// As it was read last.
    Read(&'a K),
    /// It never could be read: no more is known of it.
    Unread(&'a ObjectMeta),
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
    let (known, mut listed) = (store.clone(), HashSet::new());
    let last = store.clone();
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
                    .for_each(|old| removed(Gone::Read(old)));
                listed = HashSet::new();
            }
            Event::Delete(object) => match &object.0 {
                Ok(object) => removed(Gone::Read(object)),
                Err(unread) => match known_as(&known, &unread.metadata) {
                    Some(old) => removed(Gone::Read(&old)),
                    None => removed(Gone::Unread(&unread.metadata)),
                },
            },
            Event::Apply(_) => {}
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

    /// The UID of what was removed; marked where no more is known of it.
    fn named(gone: &Gone<'_, ChatRequest>) -> String {
        match gone {
            Gone::Read(turn) => turn.uid().unwrap(),
            Gone::Unread(metadata) => format!("unread {}", metadata.uid.clone().unwrap()),
        }
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
        let (store, _, stream) = reflect_telling::<ChatRequest>(server(), move |gone| {
            noted.lock().unwrap().push(named(&gone));
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
        let (store, _, stream) = reflect_telling::<ChatRequest>(client, move |gone| {
            noted.lock().unwrap().push(named(&gone));
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

    /// An API server that lists these turns, tells the first watch of these events, and notifies at the second.
    fn watched(listed: Vec<Value>, events: Vec<Value>, done: Arc<Notify>) -> Client {
        let events = Arc::new(Mutex::new(Some(events)));
        Client::new(
            tower::service_fn(move |request: http::Request<Body>| {
                let (listed, events, done) = (listed.clone(), Arc::clone(&events), Arc::clone(&done));
                async move {
                    let watched = request.uri().query().unwrap_or_default().contains("watch=");
                    let body = if watched {
                        let first = events.lock().unwrap().take();
                        let Some(events) = first else {
                            done.notify_one();
                            return std::future::pending().await;
                        };
                        events
                            .iter()
                            .map(|event| format!("{event}\n"))
                            .collect::<String>()
                    } else {
                        json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequestList",
                            "metadata": {"resourceVersion": "5"}, "items": listed})
                        .to_string()
                    };
                    Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body.into_bytes())))
                }
            }),
            "default",
        )
    }

    fn unreadable(name: &str, uid: &str) -> Value {
        let mut turn = turn(name);
        turn["spec"] = json!(7);
        turn["metadata"]["uid"] = json!(uid);
        turn
    }

    fn event(kind: &str, object: &Value) -> Value {
        json!({"type": kind, "object": object})
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_read_any_more_is_told_as_removed_as_it_was_read_last_and_leaves_the_store()
     {
        let listed = ["old", "kept", "other"].map(turn).to_vec();
        let events = vec![
            event("MODIFIED", &unreadable("old", "old")),
            event("DELETED", &unreadable("old", "old")),
            event("DELETED", &unreadable("never-read", "never-read")),
            // Of the same name, but not the one that is known.
            event("DELETED", &unreadable("other", "another")),
        ];
        let seen_too = events.clone();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, done) = (Arc::clone(&told), Arc::new(Notify::new()));
        let client = watched(listed.clone(), events, Arc::clone(&done));
        let (store, _, stream) = reflect_telling::<ChatRequest>(client, move |gone| {
            noted.lock().unwrap().push(named(&gone));
        });
        let mut stream = std::pin::pin!(stream);
        let mut touched = vec![];
        let watch = async {
            while let Some(turn) = stream.next().await {
                touched.push(turn.unwrap().name_any());
            }
        };
        tokio::select! { () = done.notified() => {}, () = watch => panic!("the watch ended") }
        assert_eq!(
            *told.lock().unwrap(),
            ["old", "unread never-read", "unread another"]
        );
        // Whoever looks at what is touched hears of it too.
        assert_eq!(touched, ["old", "kept", "other", "old"]);
        let left = |store: &Store<ChatRequest>| {
            let mut names: Vec<String> = store.state().iter().map(|t| t.name_any()).collect();
            names.sort();
            names
        };
        assert_eq!(left(&store), ["kept", "other"]);

        // So does who only sees the events.
        let (deleted, done) = (Arc::new(Mutex::new(vec![])), Arc::new(Notify::new()));
        let noted = Arc::clone(&deleted);
        let client = watched(listed, seen_too, Arc::clone(&done));
        let (store, _, stream) = reflect_seen::<ChatRequest>(client, move |event| {
            if let Event::Delete(turn) = event {
                noted.lock().unwrap().push(turn.name_any());
            }
        });
        let mut stream = std::pin::pin!(stream);
        let watch = async { while stream.next().await.is_some() {} };
        tokio::select! { () = done.notified() => {}, () = watch => panic!("the watch ended") }
        assert_eq!(*deleted.lock().unwrap(), ["old"]);
        assert_eq!(left(&store), ["kept", "other"]);
    }
}
