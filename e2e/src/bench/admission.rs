//! B4: what KubeChat's admission costs, against a webhook that allows everything without looking.
//!
//! Reviews are posted straight to both webhooks, as the API server would: each create is one call of the mutating and one
//! of the validating side. A block is A B B A for turns (no-op, ours, ours, no-op), then no-op, SubjectAccessReview,
//! decision, and the same backwards. Requests begin at fixed times; the time of one is from its begin to its answer, so the
//! coarse timer of the generator adds to neither side.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Request;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use kubechat_crds::CommandPlan;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::load::open_loop;
use super::machine::{CpuTimes, CpuUse, cpu_each};
use super::noise::{self, Noise};
use super::noop::Noop;
use super::stats::{Estimate, estimate, median, percentile};
use super::turns::Asker;
use super::{NAMESPACE, Protocol, World};
use crate::cluster::client_for;
use crate::demo;
use crate::product::WEBHOOK_ACCOUNT;

/// Who decides in the bench; holds the verb by the roles of a work namespace.
const APPROVER: &str = "bob";
const APPROVERS: &str = "approvers";
/// Turns are asked by so many people in turn.
const PEOPLE: u64 = 1_000;

/// How B4 is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Blocks wanted.
    pub(super) blocks: usize,
    /// Creates of a leg.
    pub(super) creates: usize,
    /// Time between two of them.
    pub(super) pause: Duration,
    /// Decisions (and their peers) of a leg.
    pub(super) decisions: usize,
    /// Time between two of them.
    pub(super) decision_pause: Duration,
}

/// What was found. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Admission {
    /// p99 of a ChatRequest CREATE / p99 of the no-op.
    pub(super) ratio: Estimate,
    /// p99 of a ChatRequest CREATE.
    pub(super) p99: Estimate,
    /// Median of an Approval CREATE / (median of the no-op + two medians of a SubjectAccessReview).
    pub(super) decision: Estimate,
    pub(super) ours_p50: f64,
    pub(super) noop_p50: f64,
    pub(super) noop_p99: f64,
    pub(super) decision_p50: f64,
    pub(super) review_p50: f64,
    /// Creates measured on each side.
    pub(super) samples: usize,
    /// CPU seconds of each process per create.
    pub(super) cpu_per_create: BTreeMap<String, f64>,
    pub(super) blocks: Vec<Block>,
    pub(super) left_out: usize,
}

/// All legs of a block. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    ratio: f64,
    ours_p99: f64,
    decision: f64,
    pub(super) noise: Noise,
    #[serde(skip)]
    ours: Vec<f64>,
    #[serde(skip)]
    noop: Vec<f64>,
    #[serde(skip)]
    decisions: Vec<f64>,
    #[serde(skip)]
    reviews: Vec<f64>,
    #[serde(skip)]
    cpu: CpuUse,
}

struct Bench<'a> {
    world: &'a World,
    settings: Settings,
    ours: Client,
    noop: Client,
    /// The API server, as the webhook asks it.
    asking: Client,
    /// Waits for a decision all the time.
    plan: CommandPlan,
    next: AtomicU64,
    _peer: Noop,
}

/// Measures B4.
pub(super) async fn measure(world: &World, settings: Settings, protocol: &Protocol) -> Result<Admission> {
    let bench = Bench::new(world, settings).await?;
    // The first legs pay for connections.
    bench.creates(&bench.noop).await?;
    bench.creates(&bench.ours).await?;
    bench.decisions(&bench.ours).await?;
    bench.reviews().await?;
    let all = noise::gather(
        settings.blocks,
        protocol,
        |_| bench.block(),
        |block: &Block| &block.noise,
    )
    .await?;
    bench.report(all, protocol)
}

impl<'a> Bench<'a> {
    async fn new(world: &'a World, settings: Settings) -> Result<Self> {
        let admin = world.cluster.client("admin").await?;
        demo::make_namespace(&admin, NAMESPACE).await?;
        let notes: Api<ConfigMap> = Api::namespaced(admin.clone(), NAMESPACE);
        let note = json!({"metadata": {"name": "note"}, "data": {"text": "a note to label"}});
        notes
            .create(&PostParams::default(), &serde_json::from_value(note)?)
            .await?;
        let asker = Asker::new(world.cluster.client("alice").await?, NAMESPACE).await?;
        asker.plan("decided", "label configmap note bench=yes").await?;
        let plans: Api<CommandPlan> = Api::namespaced(admin.clone(), NAMESPACE);
        let plan = plans.list(&Default::default()).await?.items.into_iter().next();
        let peer = Noop::start().await?;
        Ok(Self {
            world,
            settings,
            ours: ours(&admin).await?,
            noop: peer.client()?,
            asking: client_for(&world.product.kubeconfig(WEBHOOK_ACCOUNT), None).await?,
            plan: plan.context("no plan was made")?,
            next: AtomicU64::new(0),
            _peer: peer,
        })
    }

    async fn block(&self) -> Result<Block> {
        let began = CpuTimes::now(&self.world.pids())?;
        let mut noop = self.creates(&self.noop).await?;
        let before = CpuTimes::now(&self.world.pids())?;
        let mut ours = self.creates(&self.ours).await?;
        ours.extend(self.creates(&self.ours).await?);
        let cpu = CpuTimes::now(&self.world.pids())?.since(&before)?;
        noop.extend(self.creates(&self.noop).await?);
        let mut allowed = self.decisions(&self.noop).await?;
        let mut reviews = self.reviews().await?;
        let mut decisions = self.decisions(&self.ours).await?;
        decisions.extend(self.decisions(&self.ours).await?);
        reviews.extend(self.reviews().await?);
        allowed.extend(self.decisions(&self.noop).await?);
        let all = CpuTimes::now(&self.world.pids())?.since(&began)?;
        let middle = |values: &[f64]| median(values).context("nothing was measured");
        let ours_p99 = percentile(&ours, 0.99).context("nothing was measured")?;
        let noop_p99 = percentile(&noop, 0.99).context("nothing was measured")?;
        Ok(Block {
            ratio: ours_p99 / noop_p99,
            ours_p99,
            decision: middle(&decisions)? / (middle(&allowed)? + 2.0 * middle(&reviews)?),
            noise: Noise::of(&all),
            ours,
            noop,
            decisions,
            reviews,
            cpu,
        })
    }

    /// Milliseconds of each ChatRequest CREATE.
    async fn creates(&self, webhook: &Client) -> Result<Vec<f64>> {
        let Settings { creates, pause, .. } = self.settings;
        timed(creates, pause, || {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            admit(webhook, turn(number))
        })
        .await
    }

    /// Milliseconds of each Approval CREATE.
    async fn decisions(&self, webhook: &Client) -> Result<Vec<f64>> {
        let Settings {
            decisions,
            decision_pause,
            ..
        } = self.settings;
        timed(decisions, decision_pause, || {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            admit(webhook, self.decision(number))
        })
        .await
    }

    /// Milliseconds of each SubjectAccessReview: the one that a decision needs.
    async fn reviews(&self) -> Result<Vec<f64>> {
        let api: Api<SubjectAccessReview> = Api::all(self.asking.clone());
        let question = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(APPROVER.to_owned()),
                groups: Some(vec![APPROVERS.to_owned()]),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(kubechat_crds::VERB_APPROVE_CAUTION.to_owned()),
                    group: Some(kubechat_crds::GROUP.to_owned()),
                    resource: Some("commandplans".to_owned()),
                    namespace: Some(NAMESPACE.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let Settings {
            decisions,
            decision_pause,
            ..
        } = self.settings;
        timed(decisions, decision_pause, || async {
            let asked = api.create(&PostParams::default(), &question).await?;
            ensure!(
                asked.status.is_some_and(|status| status.allowed),
                "{APPROVER} may not decide"
            );
            Ok(())
        })
        .await
    }

    fn decision(&self, number: u64) -> Value {
        let spec = json!({
            "planRef": {"name": self.plan.metadata.name}, "planDigest": self.plan.spec.digest,
            "decision": "Approve", "reason": "looked at",
        });
        create(
            "Approval",
            "approvals",
            &format!("decision-{number}"),
            APPROVER,
            APPROVERS,
            &spec,
        )
    }

    fn report(&self, all: noise::Gathered<Block>, protocol: &Protocol) -> Result<Admission> {
        let blocks = all.kept;
        let of = |pick: fn(&Block) -> f64| {
            let values: Vec<f64> = blocks.iter().map(pick).collect();
            estimate(&values, protocol.seed).context("no block was measured")
        };
        let each = |pick: fn(&Block) -> &Vec<f64>, part| {
            let values: Vec<f64> = blocks.iter().flat_map(|block| pick(block).clone()).collect();
            percentile(&values, part).context("nothing was measured")
        };
        let count = self.settings.creates * 2;
        Ok(Admission {
            ratio: of(|block| block.ratio)?,
            p99: of(|block| block.ours_p99)?,
            decision: of(|block| block.decision)?,
            ours_p50: each(|block| &block.ours, 0.5)?,
            noop_p50: each(|block| &block.noop, 0.5)?,
            noop_p99: each(|block| &block.noop, 0.99)?,
            decision_p50: each(|block| &block.decisions, 0.5)?,
            review_p50: each(|block| &block.reviews, 0.5)?,
            samples: blocks.iter().map(|block| block.ours.len()).sum(),
            cpu_per_create: cpu_each(blocks.iter().map(|block| (&block.cpu, count))),
            blocks,
            left_out: all.left_out,
        })
    }
}

/// Begins `work` at fixed times and returns the milliseconds of each.
async fn timed<F>(count: usize, pause: Duration, work: impl Fn() -> F) -> Result<Vec<f64>>
where
    F: Future<Output = Result<()>>,
{
    let times = RefCell::new(Vec::with_capacity(count));
    let one = |_| async {
        let began = Instant::now();
        work().await?;
        times.borrow_mut().push(began.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    };
    open_loop(count, pause, one).await?;
    Ok(times.into_inner())
}

/// A client for KubeChat's webhook, as the API server knows it.
async fn ours(admin: &Client) -> Result<Client> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(admin.clone());
    let mut webhooks = api
        .list(&Default::default())
        .await?
        .into_iter()
        .flat_map(|one| one.webhooks.unwrap_or_default());
    let config = webhooks
        .find(|webhook| webhook.name == "judge.kubechat.io")
        .context("KubeChat's webhook is not registered")?
        .client_config;
    let url = config
        .url
        .context("KubeChat's webhook is no process on loopback")?;
    let base = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base);
    client(base, &config.ca_bundle.unwrap_or_default().0)
}

/// A client that trusts this certificate only, and does not try again.
pub(super) fn client(base: &str, pem: &[u8]) -> Result<Client> {
    let mut config = Config::new(base.parse()?);
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
        .map(|one| one.map(|certificate| certificate.to_vec()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("the certificate of {base} is no PEM"))?;
    ensure!(!certificates.is_empty(), "{base} has no certificate to trust");
    config.root_cert = Some(certificates);
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

#[derive(Deserialize)]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    allowed: bool,
    #[serde(default)]
    status: Value,
}

/// One create: first the mutating side, then the validating one.
async fn admit(webhook: &Client, request: Value) -> Result<()> {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let body = serde_json::to_vec(&review)?;
    for path in [
        kubechat_crds::install::admission::MUTATE_PATH,
        kubechat_crds::install::admission::VALIDATE_PATH,
    ] {
        let post = Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.clone())?;
        let answer: Answer = webhook
            .request(post)
            .await
            .context("the webhook did not answer")?;
        ensure!(answer.response.allowed, "refused: {}", answer.response.status);
    }
    Ok(())
}

fn turn(number: u64) -> Value {
    let spec = json!({"prompt": format!("scale nginx to {} replicas", number % 9 + 1)});
    let person = format!("person-{}", number % PEOPLE);
    create(
        "ChatRequest",
        "chatrequests",
        &format!("turn-{number}"),
        &person,
        "developers",
        &spec,
    )
}

fn create(kind: &str, resource: &str, name: &str, user: &str, group: &str, spec: &Value) -> Value {
    let gvk = json!({"group": kubechat_crds::GROUP, "version": kubechat_crds::VERSION, "kind": kind});
    let gvr = json!({"group": kubechat_crds::GROUP, "version": kubechat_crds::VERSION, "resource": resource});
    json!({
        "uid": format!("review-{name}"), "kind": gvk, "requestKind": gvk, "resource": gvr, "requestResource": gvr,
        "name": name, "namespace": NAMESPACE, "operation": "CREATE", "dryRun": false,
        "userInfo": {"username": user, "uid": user, "groups": [group, "system:authenticated"]},
        "object": {
            "apiVersion": format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION), "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        },
        "oldObject": null, "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
    })
}
