//! Server-side apply, without force but for what KubeChat itself wrote.

use http::{Method, Request};
use serde_json::Value;

use super::{Earnest, Objects, write_query};
use crate::error::Error;

impl Objects<'_> {
    /// Applies a manifest (server-side apply). `force` also takes fields that others manage.
    ///
    /// # Errors
    /// What the API server said; 409 where somebody else manages a field, or the object is not that version.
    pub async fn apply(
        &self,
        name: &str,
        manifest: &Value,
        force: bool,
        earnest: Earnest<'_>,
    ) -> Result<Value, Error> {
        let query = format!("{}&force={force}", write_query(earnest));
        let uri = format!("{}?{query}", self.path(Some(name), None)?);
        let request = earnest
            .mark(Request::builder().method(Method::PATCH).uri(uri))
            .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(serde_json::to_vec(manifest)?);
        self.send(format!("apply {} {name}", self.kind.kind.to_lowercase()), request)
            .await
    }

    /// What an object would be after [`Objects::apply`], and whether it takes force because KubeChat itself wrote the same
    /// fields before by other means. The manifest is bound to the object's version, so nobody else can have come to manage
    /// one of them when it is sent.
    ///
    /// # Errors
    /// As [`Objects::apply`]; fields of others are never taken.
    pub async fn would_apply(&self, name: &str, manifest: &Value) -> Result<(Value, bool), Error> {
        match self.apply(name, manifest, false, Earnest::No).await {
            Err(error) if only_own(&error) => {
                let after = self.apply(name, manifest, true, Earnest::No).await?;
                Ok((after, true))
            }
            answered => answered.map(|after| (after, false)),
        }
    }
}

/// Whether an apply is refused for fields only that KubeChat wrote itself.
fn only_own(error: &Error) -> bool {
    let Some(status) = error.status().filter(|s| s.code == 409) else {
        return false;
    };
    let own = format!("conflict with \"{}\"", kubechat_crds::FIELD_MANAGER);
    let mine = |message: &str| {
        let rest = message.strip_prefix(&own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut all = causes.peekable();
    all.peek().is_some() && all.all(|c| c.reason == "FieldManagerConflict" && mine(&c.message))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn refused(code: u16, causes: &[(&str, &str)]) -> Error {
        let causes: Vec<Value> = causes
            .iter()
            .map(|(reason, message)| json!({"reason": reason, "message": message, "field": ".data.a"}))
            .collect();
        let status: Status =
            serde_json::from_value(json!({"status": "Failure", "code": code, "message": "m",
            "reason": "Conflict", "details": {"causes": causes}}))
            .unwrap();
        Error::Api {
            what: "apply".into(),
            source: kube::Error::Api(Box::new(status)),
        }
    }

    /// An API server on which others, or KubeChat by other means, manage a field. What it was asked.
    async fn asked(by: Option<&'static str>) -> (Result<(Value, bool), Error>, Vec<String>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let client = kube::Client::new(
            tower::service_fn(move |request: Request<kube::client::Body>| {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let forced = query.contains("force=true");
                noted.lock().unwrap().push(query);
                let body = match by.filter(|_| !forced) {
                    Some(by) => {
                        json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict",
                        "message": format!("Apply failed with 1 conflict: conflict with \"{by}\": .data.a"),
                        "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".data.a",
                            "message": format!("conflict with \"{by}\" using v1")}]}})
                    }
                    None => json!({"kind": "ConfigMap", "data": {"a": "b"}}),
                };
                let mut answer = http::Response::new(kube::client::Body::from(body.to_string().into_bytes()));
                if by.is_some() && !forced {
                    *answer.status_mut() = http::StatusCode::CONFLICT;
                }
                std::future::ready(Ok::<_, std::convert::Infallible>(answer))
            }),
            "default",
        );
        let kind = kubechat_core::plan::KindRef {
            version: "v1".into(),
            kind: "ConfigMap".into(),
            resource: "configmaps".into(),
            namespaced: true,
            ..kubechat_core::plan::KindRef::default()
        };
        let client = super::super::ClientDebug(client);
        let said = Objects::new(&client, &kind, Some("demo"))
            .would_apply("a", &json!({}))
            .await;
        let asked = asked.lock().unwrap().clone();
        (said, asked)
    }

    #[tokio::test]
    async fn fields_of_others_are_never_asked_for_by_force_and_nothing_is_written_by_trying() {
        for (by, expected) in [
            (None, vec!["force=false"]),
            (Some("kubectl"), vec!["force=false"]),
            (Some("kubechat"), vec!["force=false", "force=true"]),
        ] {
            let (said, asked) = asked(by).await;
            assert_eq!(asked.len(), expected.len(), "{by:?} {asked:?}");
            for (query, force) in asked.iter().zip(expected) {
                let wanted = ["dryRun=All", "fieldManager=kubechat", force];
                assert!(wanted.iter().all(|part| query.contains(part)), "{by:?} {query}");
            }
            match by {
                Some("kubectl") => {
                    let error = said.unwrap_err();
                    assert!(
                        error.to_string().contains("kubectl"),
                        "who manages it is told: {error}"
                    );
                }
                by => assert_eq!(said.unwrap().1, by.is_some()),
            }
        }
    }

    #[test]
    fn only_fields_that_kubechat_alone_wrote_before_are_taken_by_force() {
        let own = ("FieldManagerConflict", "conflict with \"kubechat\" using v1");
        let bare = ("FieldManagerConflict", "conflict with \"kubechat\"");
        let theirs = ("FieldManagerConflict", "conflict with \"kubectl\" using v1");
        let named_like = ("FieldManagerConflict", "conflict with \"kubechat\"-not using v1");
        let other = ("FieldValueInvalid", "conflict with \"kubechat\" using v1");
        for (code, causes, expected) in [
            (409, vec![own], true),
            (409, vec![own, bare], true),
            (409, vec![own, theirs], false),
            (409, vec![theirs], false),
            (409, vec![named_like], false),
            (409, vec![other], false),
            (409, vec![own, other], false),
            // A conflict of versions names no field.
            (409, vec![], false),
            (422, vec![own], false),
        ] {
            assert_eq!(only_own(&refused(code, &causes)), expected, "{code} {causes:?}");
        }
    }
}
