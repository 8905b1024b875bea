//! Asking the API server's authorizer about somebody's rights (SubjectAccessReview), with the operator's own client.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use kubechat_core::authz::{Acting, Question};
use kubechat_crds::Identity;

use super::client::call;
use crate::error::Error;

/// Whose rights are asked about.
#[derive(Clone, Debug)]
pub struct Subject {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: std::collections::BTreeMap<String, Vec<String>>,
}

impl Subject {
    /// The person as KubeChat may act as him: without privileged groups.
    #[must_use]
    pub fn acting(acting: &Acting) -> Self {
        Self {
            user: acting.username.clone(),
            uid: acting.uid.clone(),
            groups: acting.groups_in_effect(),
            extra: acting.extra.clone(),
        }
    }

    /// The person as stamped, with all groups: for decisions, which are not executed with anybody's rights.
    #[must_use]
    pub fn stamped(identity: &Identity) -> Self {
        Self {
            user: identity.username.clone(),
            uid: identity.uid.clone(),
            groups: identity.groups.clone(),
            extra: identity.extra.clone(),
        }
    }
}

/// Whether the subject may.
///
/// # Errors
/// When the API server does not answer: then nobody may.
pub async fn ask(client: &Client, subject: &Subject, question: &Question) -> Result<bool, Error> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(subject.user.clone()),
            uid: Some(subject.uid.clone()).filter(|u| !u.is_empty()),
            groups: Some(subject.groups.clone()),
            extra: Some(subject.extra.clone()).filter(|e| !e.is_empty()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(question.verb.clone()),
                group: Some(question.group.clone()),
                resource: Some(question.resource.clone()),
                subresource: Some(question.subresource.clone()).filter(|s| !s.is_empty()),
                namespace: question.namespace.clone(),
                name: question.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = call("ask for a right", api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|s| s.allowed))
}

/// The first of these questions that is answered with no.
///
/// # Errors
/// As [`ask`].
pub async fn first_refused<'a>(
    client: &Client,
    subject: &Subject,
    questions: &'a [Question],
) -> Result<Option<&'a Question>, Error> {
    for question in questions {
        if !ask(client, subject, question).await? {
            return Ok(Some(question));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubechat_core::authz::acting;
    use serde_json::json;

    use super::*;
    use crate::testing::people::person;
    use crate::testing::process::{Fuse, World};

    #[tokio::test]
    async fn rights_are_asked_with_what_the_login_says_of_the_person_and_without_privileged_groups() {
        let mut world = World::new();
        world.server.allow(|asked| {
            let extra = json!({"session": ["a", "b"]});
            asked["extra"] == extra && asked["groups"] == json!(["developers", "system:authenticated"])
        });
        let alice = Identity {
            extra: BTreeMap::from([("session".to_owned(), vec!["a".to_owned(), "b".to_owned()])]),
            ..person("alice", &["developers", "system:masters"])
        };
        let process = world.start(Fuse::long()).await;
        let subject = Subject::acting(&acting(&alice).unwrap());
        let question = kubechat_core::authz::confirm_question("demo");
        let may = ask(&process.ctx.client, &subject, &question).await;
        assert!(may.unwrap());
    }
}
