//! How far an answer is, while it comes in.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Partial;
use kubechat_crds::intent::Action;
use kubechat_crds::{ChatRequest, RequestPhase};

use super::super::tools::status_of;
use super::super::turn::ask_with;
use super::by;
use super::server::{ANSWERS, DRIPS, Model};

/// How often a person looks.
const LOOK: Duration = Duration::from_millis(50);
/// The model takes about five seconds for its answer.
const TELLS: std::ops::RangeInclusive<usize> = 2..=7;

/// Asks a provider that takes its time, and looks at the turn meanwhile.
pub(super) async fn how_far_an_answer_is_is_told_at_most_once_a_second_without_its_words(
    model: &Model,
    alice: &Client,
    provider: &str,
) -> Result<()> {
    model.does(DRIPS);
    let turn = ask_with(
        alice,
        "demo",
        by(provider, "would you look at the pods bit by bit"),
    )
    .await?;
    let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), "demo");
    let mut told: Vec<Partial> = vec![];
    let looked = async {
        loop {
            let status = status_of(&turns.get(&turn.name_any()).await?);
            match status.partial {
                Some(partial) if told.last() != Some(&partial) => told.push(partial),
                Some(_) => {}
                None if status.completion_time.is_some() => return anyhow::Ok(status),
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(60), looked).await??;
    model.does(ANSWERS);
    ensure!(status.phase == Some(RequestPhase::Succeeded), "{status:?}");
    ensure!(TELLS.contains(&told.len()), "{told:?}");
    ensure!(told.iter().all(|t| t.provider == provider), "{told:?}");
    ensure!(told.is_sorted_by(|a, b| a.letters < b.letters), "{told:?}");
    let last = told.last().map(|t| t.actions.clone()).unwrap_or_default();
    ensure!(last == [Action::List], "{told:?}");
    Ok(())
}
