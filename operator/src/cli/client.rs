//! The connection of a person's command to the cluster, as that person: kubeconfig, namespace, objects.
//!
//! **Invariants:** every request has a deadline; nothing is retried (a repeated POST would ask twice); every error is
//! one of [`CliError`]. Called by the commands.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client, Config, Resource, ResourceExt};
use kubechat_crds::{Approval, ChatRequest, CommandPlan, GROUP, RiskPolicy, VERSION};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Call, CliError, Place, chain};
use super::turn::Turn;
use crate::args::Connect;

/// Longest a request to the API server takes.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Longest to connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Objects a page of a list holds.
const PAGE: u32 = 500;
/// Most objects a list reads; more are not shown.
pub(crate) const MAX_LISTED: usize = 5000;
/// Most names offered when one is not there.
const MAX_CLOSE: usize = 3;
/// How alike a name must be to be offered.
const CLOSE_ENOUGH: f32 = 0.6;
const FIELD_MANAGER: &str = "kubechat-cli";

/// A KubeChat kind and the name of its resource.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + 'static
{
    /// Resource (plural).
    const RESOURCE: &'static str;
}

impl Kind for ChatRequest {
    const RESOURCE: &'static str = "chatrequests";
}

impl Kind for CommandPlan {
    const RESOURCE: &'static str = "commandplans";
}

impl Kind for Approval {
    const RESOURCE: &'static str = "approvals";
}

/// Changes of one object; `None` when it is gone.
pub(crate) type Changes<K> = BoxStream<'static, Result<Option<K>, watcher::Error>>;

/// A cluster, as one person, in one namespace.
pub(crate) struct Cluster {
    client: Client,
    place: Place,
    /// Namespace of the turn.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Connects as the kubeconfig says.
    pub(crate) async fn connect(connect: &Connect) -> Result<Self, CliError> {
        let (mut config, kubeconfig, context) = configure(connect).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_DEADLINE);
        let namespace = connect
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let place = Place {
            server: config.cluster_url.to_string(),
            kubeconfig,
            context,
        };
        let client = Client::try_from(config).map_err(|error| CliError::Kubeconfig {
            kubeconfig: place.kubeconfig.clone(),
            why: chain(&error),
        })?;
        Ok(Self {
            client,
            place,
            namespace,
        })
    }

    /// Username as the API server knows it; `None` when it does not say.
    pub(crate) async fn whoami(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let call = Call {
            verb: "create",
            resource: "selfsubjectreviews",
            namespace: None,
        };
        let review = self.call(call, async {
            api.create(&PostParams::default(), &SelfSubjectReview::default())
                .await
        });
        review.await.ok()?.status?.user_info?.username
    }

    /// Creates an object in the namespace.
    pub(crate) async fn create<K: Kind>(&self, object: &K) -> Result<K, CliError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        self.call(self.about::<K>("create"), async {
            self.api::<K>().create(&params, object).await
        })
        .await
    }

    /// Reads an object; `None` when there is none of that name.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, CliError> {
        self.call(self.about::<K>("get"), async {
            self.api::<K>().get_opt(name).await
        })
        .await
    }

    /// Withdraws a turn.
    pub(crate) async fn cancel(&self, name: &str) -> Result<ChatRequest, CliError> {
        let patch = Patch::Merge(serde_json::json!({ "spec": { "cancel": true } }));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api::<ChatRequest>();
        self.call(self.about::<ChatRequest>("patch"), async {
            api.patch(name, &params, &patch).await
        })
        .await
    }

    /// Plans of the namespace, or of all; at most [`MAX_LISTED`], and whether there are more.
    pub(crate) async fn plans(&self, all_namespaces: bool) -> Result<(Vec<CommandPlan>, bool), CliError> {
        let (api, namespace) = if all_namespaces {
            (Api::all(self.client.clone()), None)
        } else {
            (self.api::<CommandPlan>(), Some(self.namespace.clone()))
        };
        let call = Call {
            verb: "list",
            resource: CommandPlan::RESOURCE,
            namespace,
        };
        let mut plans: Vec<CommandPlan> = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.call(call.clone(), async { api.list(&params).await }).await?;
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            plans.extend(page.items);
            match more {
                Some(token) if plans.len() < MAX_LISTED => params.continue_token = Some(token),
                more => return Ok((plans, more.is_some())),
            }
        }
    }

    /// Decisions on a plan; at most a page.
    pub(crate) async fn approvals(&self, plan: &str) -> Result<Vec<Approval>, CliError> {
        let params = ListParams::default()
            .fields(&format!("spec.planRef.name={plan}"))
            .limit(PAGE);
        let call = self.about::<Approval>("list");
        let listed = self
            .call(call, async { self.api::<Approval>().list(&params).await })
            .await?;
        Ok(listed.items)
    }

    /// The policies, where this person may read them.
    pub(crate) async fn policies(&self) -> Result<Vec<RiskPolicy>, CliError> {
        let api: Api<RiskPolicy> = Api::all(self.client.clone());
        let call = Call {
            verb: "list",
            resource: "riskpolicies",
            namespace: None,
        };
        let params = ListParams::default().limit(PAGE);
        let listed = self.call(call, async { api.list(&params).await }).await?;
        Ok(listed.items)
    }

    /// The turn of this name: the name of a plan or of a request.
    pub(crate) async fn turn(&self, name: &str) -> Result<Turn, CliError> {
        if let Some(plan) = self.get::<CommandPlan>(name).await? {
            let asked = &plan.spec.chat_request_ref;
            // An approver may read plans without reading requests; a request of the same name may be another one.
            let request = self.get::<ChatRequest>(&asked.name).await.ok().flatten();
            let request = request.filter(|request| request.uid().as_deref() == Some(asked.uid.as_str()));
            return Ok(Turn {
                request,
                plan: Some(plan),
            });
        }
        let Some(request) = self.get::<ChatRequest>(name).await? else {
            return Err(CliError::NotFound {
                what: "plan or turn",
                name: name.to_owned(),
                namespace: self.namespace.clone(),
                close: self.close_names(name).await,
            });
        };
        let mut turn = Turn {
            request: Some(request),
            plan: None,
        };
        if let Some(plan) = turn.plan_name() {
            turn.plan = self.get(&plan).await?;
        }
        Ok(turn)
    }

    /// Follows one object; reconnects by itself, with growing pauses.
    pub(crate) fn watch<K: Kind>(&self, name: &str) -> Changes<K> {
        watch_object(self.api::<K>(), name).default_backoff().boxed()
    }

    /// What a broken watch means: `None` where it is worth going on.
    pub(crate) fn watch_failed<K: Kind>(&self, error: &watcher::Error) -> Option<CliError> {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => status,
            watcher::Error::InitialListFailed(_)
            | watcher::Error::WatchStartFailed(_)
            | watcher::Error::WatchFailed(_)
            | watcher::Error::NoResourceVersion => return None,
        };
        matches!(status.code, 401 | 403 | 404)
            .then(|| CliError::of_status(status, &self.place, &self.about::<K>("watch")))
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn about<K: Kind>(&self, verb: &'static str) -> Call {
        Call {
            verb,
            resource: K::RESOURCE,
            namespace: Some(self.namespace.clone()),
        }
    }

    async fn call<T>(
        &self,
        call: Call,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CliError> {
        let error = match tokio::time::timeout(REQUEST_DEADLINE, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => CliError::of(&error, &self.place, &call),
            Err(_) => {
                let why = format!("no answer within {} s", REQUEST_DEADLINE.as_secs());
                CliError::Unreachable {
                    place: self.place.clone(),
                    why,
                }
            }
        };
        // Rights are checked before kinds: without KubeChat the answer is "forbidden" too, and would mislead.
        match error {
            CliError::Forbidden { .. } if self.lacks_kubechat().await => Err(CliError::NotInstalled {
                place: self.place.clone(),
            }),
            error => Err(error),
        }
    }

    /// Whether the API server says that it does not know KubeChat's API. Anyone may ask.
    async fn lacks_kubechat(&self) -> bool {
        let version = format!("{GROUP}/{VERSION}");
        let asked =
            tokio::time::timeout(REQUEST_DEADLINE, self.client.list_api_group_resources(&version)).await;
        matches!(asked, Ok(Err(kube::Error::Api(status))) if status.code == 404)
    }

    /// Names like this one; none when they cannot be read.
    async fn close_names(&self, name: &str) -> Vec<String> {
        let params = ListParams::default().limit(PAGE);
        let (plans, requests) = (self.api::<CommandPlan>(), self.api::<ChatRequest>());
        let mut names = Vec::new();
        let listed = self
            .call(self.about::<CommandPlan>("list"), async {
                plans.list(&params).await
            })
            .await;
        names.extend(listed.iter().flatten().map(ResourceExt::name_any));
        let listed = self
            .call(self.about::<ChatRequest>("list"), async {
                requests.list(&params).await
            })
            .await;
        names.extend(listed.iter().flatten().map(ResourceExt::name_any));
        names.sort();
        names.dedup();
        close(name, &names)
    }
}

fn close(name: &str, names: &[String]) -> Vec<String> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    similar::get_close_matches(name, &names, MAX_CLOSE, CLOSE_ENOUGH)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// The configuration, and the kubeconfig and context it came from.
async fn configure(connect: &Connect) -> Result<(Config, String, String), CliError> {
    let source = described(connect.kubeconfig.as_ref());
    let failed = |error: &KubeconfigError| CliError::Kubeconfig {
        kubeconfig: source.clone(),
        why: chain(error),
    };
    let read = match &connect.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        // In a pod without a kubeconfig, the pod's own service account.
        Err(error) => match Config::incluster() {
            Ok(config) if connect.kubeconfig.is_none() && connect.context.is_none() => {
                return Ok((
                    config,
                    "the pod's service account".to_owned(),
                    "in-cluster".to_owned(),
                ));
            }
            Ok(_) | Err(_) => return Err(failed(&error)),
        },
    };
    let context = connect
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone())
        .unwrap_or_default();
    let options = KubeConfigOptions {
        context: connect.context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| failed(&error))?;
    Ok((config, source, context))
}

fn described(file: Option<&PathBuf>) -> String {
    match (file, std::env::var("KUBECONFIG")) {
        (Some(file), _) => format!("kubeconfig {}", file.display()),
        (None, Ok(files)) if !files.is_empty() => format!("kubeconfig {files}"),
        (None, _) => "kubeconfig ~/.kube/config".to_owned(),
    }
}

/// The next change of an object that is followed; never, where none is.
pub(crate) async fn next<K: Kind>(changes: &mut Option<Changes<K>>) -> Result<Option<K>, watcher::Error> {
    match changes {
        Some(stream) => match stream.try_next().await {
            Ok(Some(change)) => Ok(change),
            Ok(None) => std::future::pending().await,
            Err(error) => Err(error),
        },
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_names_that_are_alike_and_no_others() {
        let names = ["ask-7x2kp", "ask-7x2kp-plan", "deploy"].map(str::to_owned);
        assert_eq!(close("ask-7x2kq", &names), ["ask-7x2kp", "ask-7x2kp-plan"]);
        assert!(close("zzz", &names).is_empty());
        assert!(close("", &[]).is_empty());
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("none.yaml");
        let connect = Connect {
            kubeconfig: Some(file.clone()),
            context: Some("nobody".into()),
            namespace: None,
        };
        let error = Cluster::connect(&connect).await.err().unwrap();
        assert!(
            error
                .to_string()
                .contains(&format!("kubeconfig {}", file.display())),
            "{error}"
        );
        let text = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n";
        std::fs::write(&file, text).unwrap();
        let error = Cluster::connect(&connect).await.err().unwrap().to_string();
        assert!(error.contains("nobody") && error.contains("--context"), "{error}");
    }
}
