//! rollout-status: how far a rollout is, in the words of `kubectl rollout status`.

use kubechat_core::plan::{Found, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::text;
use super::super::{Stop, Turn, resolve};
use super::citation;
use crate::execute::effect;

pub(super) async fn status(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let found = resolve::objects(turn, intent).await?;
    let mut answers = vec![];
    for one in &found {
        let mut answer = text(&sentence(one));
        answer.citations.push(citation(one));
        answers.push(answer);
    }
    Ok(super::answer::join(answers))
}

fn sentence(found: &Found) -> String {
    let name = format!(
        "{}/{}",
        found.kind.kind.to_lowercase(),
        object::name(&found.object)
    );
    let paused = found.object.pointer("/spec/paused").and_then(Value::as_bool);
    match effect::rollout(&found.kind.kind, &found.object) {
        Some(_) if paused == Some(true) => {
            format!(
                "the rollout of {name} is paused: what was changed is not rolled out until it is resumed."
            )
        }
        Some(Ok(done)) => format!("{name} is rolled out: {done}."),
        Some(Err(waiting)) => format!("{name} is being rolled out: {waiting}."),
        None => format!("{name} has no rollout."),
    }
}
