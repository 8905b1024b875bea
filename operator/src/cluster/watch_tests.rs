use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use kube::client::Body;
use kube::runtime::controller::Action;
use kubechat_crds::ChatRequest;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::context::Context;
use crate::controllers::lane::{Lane, forward};
use crate::testing::process::{Fuse, World};

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
async fn what_was_there_at_the_start_is_not_told_as_removed_and_what_is_removed_is_told_while_it_is_known() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&told);
    let (store, _, stream) = reflect_telling::<ChatRequest>(server(), move |gone| {
        noted.lock().unwrap().push(named(&gone));
    });
    let mut stream = std::pin::pin!(stream);
    // As it is listed, but for what nobody reads.
    let listed = stream.next().await.unwrap().unwrap();
    assert_eq!(listed.name_any(), "old");
    assert!(listed.managed_fields().is_empty());
    assert!(store.state().len() == 1 && told.lock().unwrap().is_empty());
    // As it is removed.
    assert_eq!(stream.next().await.unwrap().unwrap().name_any(), "old");
    assert_eq!(*told.lock().unwrap(), ["old"]);
}

/// How long the second page of a list takes to come.
const SLOW_PAGE: Duration = Duration::from_millis(100);

/// An API server that answers with these pages of a first list, says 410 Gone to the watch, answers with the pages of the
/// next one, and notifies after the last.
fn relisting<const LISTS: usize>(lists: [Vec<Vec<Value>>; LISTS], done: Arc<Notify>) -> Client {
    let pages: Vec<(Vec<Value>, bool)> = lists
        .into_iter()
        .flat_map(|list| {
            let last = list.len() - 1;
            list.into_iter()
                .enumerate()
                .map(move |(at, items)| (items, at < last))
        })
        .collect();
    let pages = Arc::new(Mutex::new(pages.into_iter()));
    Client::new(
        tower::service_fn(move |request: http::Request<Body>| {
            let (pages, done) = (Arc::clone(&pages), Arc::clone(&done));
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let body = if query.contains("watch=") {
                    if pages.lock().unwrap().len() == 0 {
                        done.notify_one();
                        std::future::pending::<()>().await;
                    }
                    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                        "reason": "Expired", "message": "too old"});
                    json!({"type": "ERROR", "object": gone}).to_string() + "\n"
                } else {
                    if query.contains("continue=") {
                        tokio::time::sleep(SLOW_PAGE).await;
                    }
                    let (items, more) = pages.lock().unwrap().next().unwrap();
                    let next = if more { "more" } else { "" };
                    json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequestList",
                        "metadata": {"resourceVersion": "5", "continue": next}, "items": items})
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
    let client = relisting([vec![first], vec![second]], Arc::clone(&done));
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

#[tokio::test]
async fn what_could_not_be_read_and_is_missing_from_a_list_made_anew_is_told_as_removed_once() {
    let lists = [
        vec![vec![
            unreadable("gone", "gone"),
            unreadable("again", "one"),
            unreadable("mended", "mended"),
            unreadable("kept", "kept"),
        ]],
        vec![vec![
            unreadable("again", "another"),
            turn("mended"),
            unreadable("kept", "kept"),
        ]],
        // What was mended since is told as it was read.
        vec![vec![unreadable("again", "another")]],
    ];
    let (told, done) = (Arc::new(Mutex::new(vec![])), Arc::new(Notify::new()));
    let noted = Arc::clone(&told);
    let client = relisting(lists, Arc::clone(&done));
    let (_, _, stream) = reflect_telling::<ChatRequest>(client, move |gone| {
        noted.lock().unwrap().push(named(&gone));
    });
    let mut stream = std::pin::pin!(stream);
    let watch_again = async { while stream.next().await.is_some() {} };
    tokio::select! { () = done.notified() => {}, () = watch_again => panic!("the watch ended") }
    let mut told = told.lock().unwrap().clone();
    told[..2].sort();
    assert_eq!(told, ["unread gone", "unread one", "mended", "unread kept"]);
}

#[tokio::test]
async fn what_could_be_read_before_and_not_in_the_last_list_is_told_as_removed_once() {
    let lists = [
        vec![vec![turn("old")]],
        vec![vec![unreadable("old", "old")]],
        vec![vec![]],
        vec![vec![]],
    ];
    let (told, done) = (Arc::new(Mutex::new(vec![])), Arc::new(Notify::new()));
    let noted = Arc::clone(&told);
    let client = relisting(lists, Arc::clone(&done));
    let (_, _, stream) = reflect_telling::<ChatRequest>(client, move |gone| {
        noted.lock().unwrap().push(named(&gone));
    });
    let mut stream = std::pin::pin!(stream);
    let watch_again = async { while stream.next().await.is_some() {} };
    tokio::select! { () = done.notified() => {}, () = watch_again => panic!("the watch ended") }
    assert_eq!(*told.lock().unwrap(), ["unread old"]);
}

/// A turn of a version.
fn at_version(name: &str, version: &str) -> Value {
    let mut turn = turn(name);
    turn["metadata"]["resourceVersion"] = json!(version);
    turn
}

/// Two lists with a watch between them that expires: one turn stays, one changes, one goes and one comes.
fn lists() -> [Vec<Vec<Value>>; 2] {
    [
        vec![vec![turn("kept"), turn("changed")], vec![turn("gone")]],
        vec![vec![turn("new"), at_version("changed", "6")], vec![turn("kept")]],
    ]
}

#[tokio::test]
async fn what_a_list_made_anew_brings_or_takes_is_told_when_the_store_shows_it() {
    let done = Arc::new(Notify::new());
    let (store, _, stream) = reflect::<ChatRequest>(relisting(lists(), Arc::clone(&done)));
    let mut stream = std::pin::pin!(stream);
    let mut told = vec![];
    let watch = async {
        while let Some(touched) = stream.next().await {
            // The watch that expires is told as an error.
            let Ok(turn) = touched else { continue };
            let shown = store.get(&ObjectRef::from_obj(&turn));
            let version = shown.and_then(|shown| shown.resource_version());
            told.push((turn.name_any(), version.unwrap_or_else(|| "none".to_owned())));
        }
    };
    tokio::select! { () = done.notified() => {}, () = watch => panic!("the watch ended") }
    let (mut first, mut second) = (told[..3].to_vec(), told[3..].to_vec());
    first.sort();
    second.sort();
    let told = |all: &[(&str, &str)]| {
        all.iter()
            .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(first, told(&[("changed", "5"), ("gone", "5"), ("kept", "5")]));
    assert_eq!(
        second,
        told(&[("changed", "6"), ("gone", "none"), ("kept", "5"), ("new", "5")])
    );
}

/// The way from a watch to its controller, as the operator has it.
#[tokio::test]
async fn an_object_that_appears_while_its_watch_is_begun_again_is_looked_at_as_it_is() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let (store, _, stream) = reflect::<ChatRequest>(relisting(lists(), Arc::default()));
    let (looked, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let look = move |turn: Arc<ChatRequest>, _: Arc<Context>| {
        let looked = looked.clone();
        async move {
            let version = turn.resource_version().unwrap_or_default();
            looked.send(format!("{} {version}", turn.name_any())).unwrap();
            Ok(Action::await_change())
        }
    };
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    let lane = Lane::new(
        &mut tasks,
        "ChatRequest",
        &process.ctx,
        &store,
        4,
        &shutdown,
        look,
    );
    forward(&mut tasks, stream, &shutdown, lane);
    let mut wanted: BTreeSet<&str> = ["kept 5", "changed 6", "new 5"].into();
    let all = async {
        while !wanted.is_empty() {
            let name = seen.recv().await.unwrap();
            wanted.remove(name.as_str());
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(came.is_ok(), "never looked at: {wanted:?}");
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
    assert_eq!(touched.pop().as_deref(), Some("old"));
    touched.sort();
    assert_eq!(touched, ["kept", "old", "other"]);
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
