//! Results that waited: nothing is lost, nothing is recorded twice, nothing that is torn or forged is believed.

use super::*;
use crate::record::{Actor, EventType, Outcome};
use crate::store::{Filter, SqliteOptions, SqliteStore};

struct Setup {
    dir: tempfile::TempDir,
    store: SqliteStore,
    spool: Spool,
}

impl Setup {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("audit.db"), ChainKey::generate());
        let store = SqliteStore::open(SqliteOptions::new(&path, key.clone(), 1))
            .await
            .unwrap();
        let spool = Spool::beside(&path, key);
        Self { dir, store, spool }
    }

    async fn intend(&self, step: &str) {
        let draft = draft(Outcome::Intent, step);
        self.store.append_intent(draft, step).await.unwrap();
    }

    /// Outcomes in the log, in order.
    async fn outcomes(&self) -> Vec<Outcome> {
        let all = self.store.list(Filter::default()).await.unwrap();
        all.iter().map(|e| e.outcome).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.spool.path()).unwrap()
    }
}

fn draft(outcome: Outcome, step: &str) -> Draft {
    let mut draft = Draft::new(
        EventType::CommandExecution,
        Actor::named("alice"),
        "scale",
        outcome,
        "Executed",
    );
    draft.ids.step_id = Some(step.to_owned());
    draft.message = "what the cluster said".to_owned();
    draft
}

#[tokio::test]
async fn a_kept_result_is_recorded_once_and_the_spool_is_empty_then() {
    let setup = Setup::new().await;
    setup.intend("one").await;
    setup.intend("two").await;
    assert!(setup.spool.is_empty());
    setup.spool.keep(&draft(Outcome::Success, "one")).unwrap();
    setup.spool.keep(&draft(Outcome::Failure, "two")).unwrap();
    assert!(!setup.spool.is_empty());
    let done = setup.spool.replay(&setup.store).await.unwrap();
    assert_eq!((done.recorded, done.known, done.dropped), (2, 0, 0));
    assert!(setup.spool.is_empty());
    assert_eq!(
        setup.spool.replay(&setup.store).await.unwrap(),
        Replayed::default()
    );
    use Outcome::{Failure, Intent, Success};
    assert_eq!(setup.outcomes().await, [Intent, Intent, Success, Failure]);
    let entry = setup.store.list(Filter::default()).await.unwrap().remove(2);
    assert_eq!(entry.message, "what the cluster said");
}

#[tokio::test]
async fn a_replay_that_was_cut_off_records_nothing_twice() {
    let setup = Setup::new().await;
    setup.intend("one").await;
    setup.spool.keep(&draft(Outcome::Success, "one")).unwrap();
    let before = setup.bytes();
    setup.spool.replay(&setup.store).await.unwrap();
    // As if the process had died before it emptied the file.
    std::fs::write(setup.spool.path(), before).unwrap();
    let done = setup.spool.replay(&setup.store).await.unwrap();
    assert_eq!((done.recorded, done.known), (0, 1));
    assert_eq!(setup.outcomes().await.len(), 2);
}

#[tokio::test]
async fn a_torn_line_is_not_believed_at_any_length_and_hurts_no_other() {
    let setup = Setup::new().await;
    setup.intend("whole").await;
    setup.intend("torn").await;
    setup.spool.keep(&draft(Outcome::Success, "torn")).unwrap();
    let line = setup.bytes();
    for length in (0..line.len() - 1).step_by(7) {
        std::fs::write(setup.spool.path(), &line[..length]).unwrap();
        setup.spool.keep(&draft(Outcome::Success, "whole")).unwrap();
        let (drafts, torn) = setup.spool.parse(&setup.bytes());
        let steps: Vec<_> = drafts.iter().map(|d| d.ids.step_id.clone().unwrap()).collect();
        assert_eq!(steps, ["whole"], "{length} bytes");
        assert_eq!(torn, usize::from(length > 0), "{length} bytes");
    }
    setup.spool.replay(&setup.store).await.unwrap();
    assert!(
        setup
            .store
            .intent("whole")
            .await
            .unwrap()
            .unwrap()
            .result
            .is_some()
    );
    assert!(
        setup
            .store
            .intent("torn")
            .await
            .unwrap()
            .unwrap()
            .result
            .is_none()
    );
}

#[tokio::test]
async fn a_line_that_was_changed_or_made_with_another_key_is_not_believed() {
    let setup = Setup::new().await;
    setup.intend("one").await;
    let forger = Spool::beside(&setup.dir.path().join("audit.db"), ChainKey::generate());
    forger.keep(&draft(Outcome::Success, "one")).unwrap();
    setup.spool.keep(&draft(Outcome::Failure, "one")).unwrap();
    let text = String::from_utf8(setup.bytes()).unwrap();
    let changed = text.replace("\"failure\"", "\"success\"");
    assert_ne!(text, changed);
    std::fs::write(setup.spool.path(), changed).unwrap();
    let done = setup.spool.replay(&setup.store).await.unwrap();
    assert_eq!((done.recorded, done.dropped), (0, 2));
    assert!(setup.store.intent("one").await.unwrap().unwrap().result.is_none());
}

#[tokio::test]
async fn only_results_are_kept_and_one_without_intent_is_dropped() {
    let setup = Setup::new().await;
    for other in [draft(Outcome::Intent, "one"), draft(Outcome::Denied, "one")] {
        assert!(setup.spool.keep(&other).is_err());
    }
    setup.spool.keep(&draft(Outcome::Success, "never begun")).unwrap();
    let done = setup.spool.replay(&setup.store).await.unwrap();
    assert_eq!(done.dropped, 1);
    assert!(setup.outcomes().await.is_empty());
}

#[tokio::test]
async fn a_result_that_is_kept_during_a_replay_is_not_lost() {
    let setup = Setup::new().await;
    setup.intend("one").await;
    setup.intend("two").await;
    setup.spool.keep(&draft(Outcome::Success, "one")).unwrap();
    let recorded = setup.spool.read().unwrap();
    setup.spool.keep(&draft(Outcome::Success, "two")).unwrap();
    setup.spool.clear(&recorded).unwrap();
    let done = setup.spool.replay(&setup.store).await.unwrap();
    assert_eq!(done.recorded, 2);
    assert!(setup.spool.is_empty());
}

#[tokio::test]
async fn a_full_spool_refuses_and_a_store_that_is_away_leaves_it_as_it_is() {
    let setup = Setup::new().await;
    setup.intend("one").await;
    setup.spool.keep(&draft(Outcome::Success, "one")).unwrap();
    let before = setup.bytes();
    std::fs::remove_file(setup.dir.path().join("audit.db")).unwrap();
    assert!(setup.spool.replay(&setup.store).await.is_err());
    assert_eq!(setup.bytes(), before);
    let full = vec![b'x'; usize::try_from(MAX_SPOOL_BYTES).unwrap()];
    std::fs::write(setup.spool.path(), full).unwrap();
    assert!(setup.spool.keep(&draft(Outcome::Success, "one")).is_err());
}
