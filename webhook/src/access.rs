//! Questions to the API server: rights of a person and single objects. **Invariant:** each has a deadline, and no answer
//! is a refusal, never a yes.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{GetParams, ListParams, PostParams};
use kube::{Api, Resource};
use kubechat_core::authz::Question;
use kubechat_core::reason as core_reason;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;
use crate::state::State;

/// Longest wait for one answer; several run at once, and the whole review has its own deadline.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Questions under way at once for one review.
pub(crate) const CONCURRENT: usize = 16;
/// Most namespaces that are asked about one by one. A plan that touches more needs the right cluster-wide.
const MAX_NAMESPACES: usize = 64;

/// Objects a page of a list holds.
const PAGE: u32 = 500;
/// Most objects of a list that are looked at; with more, nothing is judged.
const MAX_LISTED: usize = 5_000;

/// Which state of an object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// As it is stored now.
    Fresh,
    /// What the API server remembers: no question to etcd, mostly milliseconds old, in bad hours more. For what never
    /// changes (the spec of a plan), and never a ground to refuse somebody.
    Recent,
}

/// One object, read fresh; `None` where there is none.
pub(crate) async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Refusal>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    get_of(api, name, Age::Fresh).await
}

/// One object; `None` where there is none.
pub(crate) async fn get_of<K>(api: &Api<K>, name: &str, age: Age) -> Result<Option<K>, Refusal>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = match age {
        Age::Fresh => GetParams::default(),
        Age::Recent => GetParams::any(),
    };
    let found = async {
        match api.get_with(name, &params).await {
            Ok(found) => Ok(Some(found)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    };
    in_time(found).await
}

/// All objects of a kind, read fresh, page by page. No field selector: a name may hold what separates its terms.
pub(crate) async fn list<K>(api: &Api<K>) -> Result<Vec<K>, Refusal>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    let mut all = vec![];
    loop {
        let page = in_time(api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(all),
            Some(_) if all.len() >= MAX_LISTED => {
                return Err(Refusal::unavailable(
                    core_reason::LIMIT_EXCEEDED,
                    format!(
                        "there are more than {MAX_LISTED} objects to look through, so nothing was judged and nothing was stored. Remove those that are not needed"
                    ),
                ));
            }
            Some(token) => params.continue_token = Some(token),
        }
    }
}

/// Whether the API server's authorizer says yes.
pub(crate) async fn allowed(state: &State, user: &UserInfo, question: &Question) -> Result<bool, Refusal> {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(question.verb.clone()),
                group: Some(question.group.clone()),
                resource: Some(question.resource.clone()),
                subresource: filled(&question.subresource),
                namespace: question.namespace.clone(),
                name: question.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(state.client.0.clone());
    let answer = in_time(api.create(&PostParams::default(), &review)).await?;
    Ok(answer
        .status
        .is_some_and(|status| status.allowed && !status.denied.unwrap_or(false)))
}

/// Many namespaces become one question about all of them.
pub(crate) fn bounded(mut questions: Vec<Question>) -> Vec<Question> {
    if questions.len() <= MAX_NAMESPACES {
        return questions;
    }
    questions.truncate(1);
    for question in &mut questions {
        question.namespace = None;
    }
    questions
}

async fn in_time<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
    let unreachable = || {
        Refusal::unavailable(
            core_reason::UNREACHABLE,
            "KubeChat's webhook could not ask the API server what it must know to judge this. Nothing was stored. Try again; if it stays, look at the webhook's log and its rights",
        )
    };
    match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the API server did not answer a question of admission");
            Err(unreachable())
        }
        Err(_) => {
            tracing::warn!("the API server did not answer within {ANSWER_DEADLINE:?}");
            Err(unreachable())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(namespace: usize) -> Question {
        Question {
            verb: "approve-caution".into(),
            group: "kubechat.io".into(),
            resource: "commandplans".into(),
            subresource: String::new(),
            namespace: Some(format!("n{namespace}")),
            name: None,
        }
    }

    #[test]
    fn many_namespaces_need_the_right_cluster_wide() {
        let few: Vec<_> = (0..MAX_NAMESPACES).map(question).collect();
        assert_eq!(bounded(few.clone()), few);
        let many = bounded((0..=MAX_NAMESPACES).map(question).collect());
        assert_eq!(
            many,
            [Question {
                namespace: None,
                ..question(0)
            }]
        );
    }
}
