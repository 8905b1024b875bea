//! Objects of any kind as JSON, read and written with the client of a person.

mod apply;

use http::{Method, Request};
use kube::Client;
use kubechat_core::plan::KindRef;
use serde_json::Value;

use super::client::call;
use crate::error::Error;

/// Objects one list call returns.
pub const PAGE: u32 = 500;
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const AUDIT_ID: &str = "Audit-ID";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Objects of one kind in one namespace (or all, or cluster-wide).
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    client: &'a ClientDebug,
    kind: &'a KindRef,
    namespace: Option<&'a str>,
}

/// Whether a write is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earnest<'a> {
    /// A dry-run.
    No,
    /// For good. The API server takes this as the id of the request in its own audit log (header `Audit-ID`).
    Yes {
        /// Unlike that of any other request.
        audit_id: &'a str,
    },
}

impl Earnest<'_> {
    fn mark(self, request: http::request::Builder) -> http::request::Builder {
        match self {
            Self::No => request,
            Self::Yes { audit_id } => request.header(AUDIT_ID, audit_id),
        }
    }
}

/// A client that can stand in a Debug struct.
#[derive(Clone)]
pub struct ClientDebug(pub Client);

impl std::fmt::Debug for ClientDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// One page of a list.
#[derive(Debug, serde::Deserialize)]
pub struct List {
    /// List metadata.
    #[serde(default)]
    pub metadata: ListMeta,
    /// Objects, without apiVersion and kind.
    #[serde(default, deserialize_with = "or_none")]
    pub items: Vec<Value>,
}

/// A list of metadata that is empty says `null`.
fn or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
    let items: Option<Vec<Value>> = serde::Deserialize::deserialize(from)?;
    Ok(items.unwrap_or_default())
}

/// What a list says of itself.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Token of the next page; empty on the last one.
    #[serde(default, rename = "continue")]
    pub continue_: String,
    /// Objects behind this page.
    #[serde(default)]
    pub remaining_item_count: Option<i64>,
    /// Version of the list.
    #[serde(default)]
    pub resource_version: String,
}

/// One page of a server-made table (KEP-2896: what kubectl prints).
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TablePage {
    /// List metadata.
    #[serde(default)]
    pub metadata: ListMeta,
    /// Columns.
    #[serde(default)]
    pub column_definitions: Vec<Column>,
    /// Rows.
    #[serde(default)]
    pub rows: Vec<Row>,
}

/// A column of a table.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Column {
    /// Title.
    pub name: String,
    /// 0 is shown always, more in wide output.
    #[serde(default)]
    pub priority: i32,
}

/// A row of a table.
#[derive(Debug, serde::Deserialize)]
pub struct Row {
    /// Cells.
    #[serde(default)]
    pub cells: Vec<Value>,
    /// The object's metadata.
    #[serde(default)]
    pub object: Value,
}

impl<'a> Objects<'a> {
    /// Objects of a kind; `namespace` is ignored for cluster-scoped kinds, and `None` means all namespaces.
    #[must_use]
    pub fn new(client: &'a ClientDebug, kind: &'a KindRef, namespace: Option<&'a str>) -> Self {
        Self {
            client,
            kind,
            namespace: namespace.filter(|_| kind.namespaced),
        }
    }

    /// The path of the kind, an object or a subresource. The API server routes on the decoded path, so encoding a name would
    /// not keep it in its place: what is no single path segment is refused.
    fn path(&self, name: Option<&str>, subresource: Option<&str>) -> Result<String, Error> {
        let KindRef {
            group,
            version,
            resource,
            ..
        } = self.kind;
        let mut path = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        let namespace = self.namespace.map(|n| ["namespaces", n]);
        let rest = [Some(resource.as_str()), name, subresource].into_iter().flatten();
        for segment in namespace.into_iter().flatten().chain(rest) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
            if segment.is_empty() || segment == "." || segment == ".." || !segment.chars().all(plain) {
                return Err(Error::Invalid(format!(
                    "{segment:?} is no name of a Kubernetes object. Nothing was done"
                )));
            }
            path.push('/');
            path.push_str(segment);
        }
        Ok(path)
    }

    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        what: String,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<T, Error> {
        let request = request.map_err(|e| Error::Internal(format!("{what}: {e}")))?;
        call(what, self.client.0.request(request)).await
    }

    /// One object.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn get(&self, name: &str) -> Result<Value, Error> {
        let request = Request::get(self.path(Some(name), None)?).body(vec![]);
        self.send(format!("get {} {name}", self.kind.kind.to_lowercase()), request)
            .await
    }

    /// One object, or `None` when there is none.
    ///
    /// # Errors
    /// Anything but 404.
    pub async fn find(&self, name: &str) -> Result<Option<Value>, Error> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The Scale of an object, or `None` when the object or its `scale` subresource is not there.
    ///
    /// # Errors
    /// Anything but 404.
    pub async fn find_scale(&self, name: &str) -> Result<Option<Value>, Error> {
        let request = Request::get(self.path(Some(name), Some("scale"))?).body(vec![]);
        let what = format!("get the scale of {} {name}", self.kind.kind.to_lowercase());
        match self.send(what, request).await {
            Ok(scale) => Ok(Some(scale)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of objects, with apiVersion and kind put back.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn list(&self, query: &Query<'_>) -> Result<List, Error> {
        let request = Request::get(format!("{}?{}", self.path(None, None)?, query.text())).body(vec![]);
        let mut list: List = self.send(format!("list {}", self.kind.resource), request).await?;
        for item in list.items.iter_mut().filter_map(Value::as_object_mut) {
            item.insert("apiVersion".into(), self.kind.api_version().into());
            item.insert("kind".into(), self.kind.kind.clone().into());
        }
        Ok(list)
    }

    /// One page of objects of which the server sends the metadata only.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn list_metadata(&self, query: &Query<'_>) -> Result<List, Error> {
        let request = Request::get(format!("{}?{}", self.path(None, None)?, query.text()))
            .header(http::header::ACCEPT, METADATA_LIST)
            .body(vec![]);
        self.send(format!("list {}", self.kind.resource), request).await
    }

    /// The metadata of one object, or `None` when there is none.
    ///
    /// # Errors
    /// Anything but 404.
    pub async fn find_metadata(&self, name: &str) -> Result<Option<Value>, Error> {
        let request = Request::get(self.path(Some(name), None)?)
            .header(http::header::ACCEPT, METADATA)
            .body(vec![]);
        let what = format!("get {} {name}", self.kind.kind.to_lowercase());
        match self.send(what, request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page as the server prints it.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn table(&self, name: Option<&str>, query: &Query<'_>) -> Result<TablePage, Error> {
        let request = Request::get(format!("{}?{}", self.path(name, None)?, query.text()))
            .header(http::header::ACCEPT, TABLE)
            .body(vec![]);
        self.send(format!("list {}", self.kind.resource), request).await
    }

    /// Patches an object: a JSON object is a merge patch, an array a JSON patch. Returns the object (or subresource) after it.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn patch(
        &self,
        name: &str,
        subresource: Option<&str>,
        patch: &Value,
        earnest: Earnest<'_>,
    ) -> Result<Value, Error> {
        let content = if patch.is_array() {
            "application/json-patch+json"
        } else {
            "application/merge-patch+json"
        };
        let uri = format!("{}?{}", self.path(Some(name), subresource)?, write_query(earnest));
        let request = earnest
            .mark(Request::builder().method(Method::PATCH).uri(uri))
            .header(http::header::CONTENT_TYPE, content)
            .body(serde_json::to_vec(patch)?);
        self.send(format!("patch {} {name}", self.kind.kind.to_lowercase()), request)
            .await
    }

    /// Creates an object.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn create(&self, manifest: &Value, earnest: Earnest<'_>) -> Result<Value, Error> {
        let uri = format!("{}?{}", self.path(None, None)?, write_query(earnest));
        let request = earnest
            .mark(Request::post(uri))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(manifest)?);
        self.send(format!("create {}", self.kind.kind.to_lowercase()), request)
            .await
    }

    /// Deletes an object, bound to its UID and version; background propagation.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn delete(
        &self,
        name: &str,
        uid: &str,
        version: Option<&str>,
        grace: Option<i64>,
        earnest: Earnest<'_>,
    ) -> Result<Value, Error> {
        let mut body = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}});
        if let Some(version) = version {
            body["preconditions"]["resourceVersion"] = version.into();
        }
        if let Some(grace) = grace {
            body["gracePeriodSeconds"] = grace.into();
        }
        if earnest == Earnest::No {
            body["dryRun"] = serde_json::json!(["All"]);
        }
        let request = earnest
            .mark(Request::delete(self.path(Some(name), None)?))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body)?);
        self.send(
            format!("delete {} {name}", self.kind.kind.to_lowercase()),
            request,
        )
        .await
    }

    /// Asks for a pod to go as its disruption budgets allow, bound to its UID.
    ///
    /// # Errors
    /// What the API server said; 429 where a budget forbids it now.
    pub async fn evict(
        &self,
        name: &str,
        uid: &str,
        grace: Option<i64>,
        earnest: Earnest<'_>,
    ) -> Result<(), Error> {
        let mut options = serde_json::json!({"preconditions": {"uid": uid}});
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = grace.into();
        }
        if earnest == Earnest::No {
            options["dryRun"] = serde_json::json!(["All"]);
        }
        let metadata = serde_json::json!({"name": name, "namespace": self.namespace});
        let body = serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options});
        let uri = format!(
            "{}?{}",
            self.path(Some(name), Some("eviction"))?,
            write_query(earnest)
        );
        let request = earnest
            .mark(Request::post(uri))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&body)?);
        self.send::<Value>(format!("evict pod {name}"), request)
            .await
            .map(drop)
    }

    /// The end of a log.
    ///
    /// # Errors
    /// What the API server said.
    pub async fn logs(&self, pod: &str, query: &str) -> Result<String, Error> {
        let request = Request::get(format!("{}?{query}", self.path(Some(pod), Some("log"))?))
            .body(vec![])
            .map_err(|e| Error::Internal(e.to_string()))?;
        call(format!("logs of pod {pod}"), self.client.0.request_text(request)).await
    }
}

fn write_query(earnest: Earnest<'_>) -> String {
    let dry = match earnest {
        Earnest::No => "&dryRun=All",
        Earnest::Yes { .. } => "",
    };
    format!("fieldManager={}{dry}", kubechat_crds::FIELD_MANAGER)
}

/// What a list selects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// Label selector.
    pub labels: Option<&'a str>,
    /// Field selector.
    pub fields: Option<&'a str>,
    /// Objects of a page; 0 takes [`PAGE`].
    pub limit: u32,
    /// Token of the next page.
    pub continue_: Option<&'a str>,
}

impl Query<'_> {
    fn text(&self) -> String {
        let limit = if self.limit == 0 { PAGE } else { self.limit };
        let mut text = format!("limit={limit}");
        for (key, value) in [
            ("labelSelector", self.labels),
            ("fieldSelector", self.fields),
            ("continue", self.continue_),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        text
    }
}

/// Percent-encodes a query value (RFC 3986 unreserved characters stay).
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod manager_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_would_leave_their_place_in_the_path() {
        let kind = KindRef {
            version: "v1".into(),
            resource: "pods".into(),
            namespaced: true,
            ..KindRef::default()
        };
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("not called"))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let client = ClientDebug(Client::new(service, "default"));
        let path = |namespace: &str, name: &str| {
            Objects::new(&client, &kind, Some(namespace)).path(Some(name), None)
        };
        assert_eq!(
            path("demo", "web-1").unwrap(),
            "/api/v1/namespaces/demo/pods/web-1"
        );
        for bad in ["", ".", "..", "web/log", "web%2Flog", "../x", "a b", "a?b"] {
            assert!(path("demo", bad).is_err(), "{bad:?}");
            assert!(path(bad, "web").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_empty_list_may_be_null_or_missing() {
        for text in [r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
            assert!(
                serde_json::from_str::<List>(text).unwrap().items.is_empty(),
                "{text}"
            );
        }
        assert!(serde_json::from_str::<List>(r#"{"items":7}"#).is_err());
    }

    #[test]
    fn selectors_are_encoded_so_that_they_cannot_add_parameters() {
        let query = Query {
            labels: Some("a=b&limit=1"),
            ..Query::default()
        };
        assert_eq!(query.text(), "limit=500&labelSelector=a%3Db%26limit%3D1");
    }
}
