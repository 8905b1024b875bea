//! The webhook's certificate: made anew when it is lost, taken up without a restart, and trusted all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubechat_crds::{ChatRequest, ChatRequestSpec};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::json;
use tokio::task::JoinHandle;

use super::faults::watchful;
use super::turn::{SOON, refused, says};
use crate::runner::{Test, own, with_product};

const SECRET: &str = "kubechat-webhook-tls";
const SYSTEM: &str = "kubechat-system";
const CONFIGURATION: &str = "kubechat";
/// What the webhook logs whenever it has taken up a certificate.
const TAKEN_UP: &str = "serving certificate read";
/// Between two probes of admission.
const PROBE_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn tests() -> Vec<Test> {
    own![
        a_lost_or_broken_certificate_is_made_anew_and_no_request_fails,
        a_wrong_ca_bundle_is_put_right,
    ]
}

async fn a_lost_or_broken_certificate_is_made_anew_and_no_request_fails() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let secrets: Api<Secret> = Api::namespaced(admin.clone(), SYSTEM);
        let pid = product.pid(Part::Webhook);
        let probe = Probe::start(alice.clone());
        for round in 1..=3 {
            let before = bundle(&admin).await?;
            let taken_up = times_taken_up(product)?;
            match round {
                1 => drop(secrets.delete(SECRET, &DeleteParams::default()).await?),
                2 => spoil(&secrets, "tls.crt").await?,
                _ => spoil(&secrets, "ca.crt").await?,
            }
            let after = eventually(SOON, "there is a new certificate in the bundle", || async {
                let now = bundle(&admin).await?;
                ensure!(now != before, "the bundle is the old one");
                let data = secrets.get(SECRET).await?.data.unwrap_or_default();
                ensure!(
                    data.get("ca.crt").is_some_and(|ca| ca.0 == now.as_bytes()),
                    "the Secret is not there"
                );
                Ok(now)
            })
            .await?;
            let (old, new) = (certificates(&before), certificates(&after));
            ensure!(
                new.len() == 2 && new.get(1) == old.first(),
                "round {round}: the old CA is not trusted any more"
            );
            eventually(SOON, "the webhook takes it up", || async {
                let now = times_taken_up(product)?;
                ensure!(now > taken_up, "it has taken up {now}");
                Ok(())
            })
            .await?;
        }
        probe.end().await?;
        one_that_ends_soon_is_replaced(&admin, &secrets).await?;
        ensure!(product.pid(Part::Webhook) == pid, "the webhook was restarted");
        only_new_certificate(&admin, &alice).await
    })
    .await
}

/// Puts nonsense into one field of the Secret.
async fn spoil(secrets: &Api<Secret>, field: &str) -> Result<()> {
    let nonsense = Patch::Merge(json!({"data": {field: ByteString(b"nonsense".to_vec())}}));
    secrets.patch(SECRET, &PatchParams::default(), &nonsense).await?;
    Ok(())
}

/// A certificate whose time is over within a month is not waited for.
async fn one_that_ends_soon_is_replaced(admin: &Client, secrets: &Api<Secret>) -> Result<()> {
    let mut soon = rcgen::CertificateParams::new(vec!["soon.example.org".to_owned()])?;
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let day = Duration::from_secs(24 * 3600);
    soon.not_before = rcgen::date_time_ymd(1970, 1, 1) + (today - day);
    soon.not_after = rcgen::date_time_ymd(1970, 1, 1) + (today + day * 20);
    let key = rcgen::KeyPair::generate()?;
    let certificate = soon.self_signed(&key)?.pem();
    let before = bundle(admin).await?;
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let data = json!({
        "tls.crt": bytes(&certificate), "tls.key": bytes(&key.serialize_pem()), "ca.crt": bytes(&certificate),
    });
    let patch = Patch::Merge(json!({ "data": data }));
    secrets.patch(SECRET, &PatchParams::default(), &patch).await?;
    eventually(SOON, "it is replaced", || async {
        let data = secrets.get(SECRET).await?.data.unwrap_or_default();
        let served = data.get("tls.crt").context("there is none")?;
        ensure!(served.0 != certificate.as_bytes(), "it is still there");
        ensure!(bundle(admin).await? != before, "the bundle is the old one");
        Ok(())
    })
    .await
}

/// With the new CA alone in the bundle, admission works: so the webhook does serve the new certificate.
async fn only_new_certificate(admin: &Client, alice: &Client) -> Result<()> {
    let all = bundle(admin).await?;
    let newest = certificates(&all).into_iter().next().context("an empty bundle")?;
    put_bundle(admin, newest.as_bytes()).await?;
    eventually(SOON, "the newest CA alone suffices", || probe(alice)).await
}

async fn a_wrong_ca_bundle_is_put_right() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let right = bundle(&admin).await?;
        // Well-formed, but of a stranger.
        let wrong = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()])?
            .cert
            .pem();
        product.stop(Part::Operator).await?;
        put_bundle(&admin, wrong.as_bytes()).await?;
        let refusal = eventually(SOON, "the API server distrusts the webhook", || async {
            refused(probe(&alice).await)
        })
        .await?;
        says(&refusal, &["failed calling webhook", "certificate"])?;
        product.resume(Part::Operator).await?;
        eventually(SOON, "the bundle is put right", || async {
            ensure!(bundle(&admin).await? == right, "it is wrong");
            probe(&alice).await
        })
        .await?;
        // And again, with the operator running.
        put_bundle(&admin, wrong.as_bytes()).await?;
        eventually(SOON, "the bundle is put right again", || async {
            ensure!(bundle(&admin).await? == right, "it is wrong");
            probe(&alice).await
        })
        .await
    })
    .await
}

/// The CA bundle, which is the same in every webhook.
async fn bundle(admin: &Client) -> Result<String> {
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(admin.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(admin.clone());
    let first = mutating.get(CONFIGURATION).await?.webhooks.unwrap_or_default();
    let second = validating.get(CONFIGURATION).await?.webhooks.unwrap_or_default();
    let configs = first.into_iter().map(|w| w.client_config);
    let mut all = configs
        .chain(second.into_iter().map(|w| w.client_config))
        .map(|c| c.ca_bundle);
    let one = all.next().flatten().context("no CA bundle")?;
    ensure!(
        all.all(|other| other.as_ref() == Some(&one)),
        "the webhooks have different CA bundles"
    );
    Ok(String::from_utf8(one.0)?)
}

async fn put_bundle(admin: &Client, bundle: &[u8]) -> Result<()> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(admin.clone());
    let mut found = api.get(CONFIGURATION).await?;
    for webhook in found.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(bundle.to_vec()));
    }
    api.replace(CONFIGURATION, &PostParams::default(), &found).await?;
    Ok(())
}

fn certificates(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = bundle.split_inclusive(END).filter(|part| part.contains(END));
    parts.map(|part| part.trim().to_owned()).collect()
}

fn times_taken_up(product: &Product) -> Result<usize> {
    let log = std::fs::read_to_string(product.log(Part::Webhook.name()))?;
    Ok(log.matches(TAKEN_UP).count())
}

/// One dry-run that passes the webhook.
async fn probe(alice: &Client) -> Result<()> {
    let api: Api<ChatRequest> = Api::namespaced(alice.clone(), "demo");
    let request = ChatRequest {
        metadata: ObjectMeta {
            generate_name: Some("probe-".to_owned()),
            ..ObjectMeta::default()
        },
        spec: ChatRequestSpec {
            prompt: "list pods".to_owned(),
            ..ChatRequestSpec::default()
        },
        status: None,
    };
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = api.create(&dry, &request).await?;
    ensure!(made.spec.requester.is_some(), "it was not stamped");
    Ok(())
}

/// Probes admission without a break.
struct Probe {
    stop: Arc<AtomicBool>,
    running: JoinHandle<Result<usize>>,
}

impl Probe {
    fn start(alice: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, done) = (Arc::clone(&stop), AtomicUsize::new(0));
        let running = tokio::spawn(async move {
            while !until.load(Ordering::SeqCst) {
                probe(&alice).await?;
                done.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(PROBE_PAUSE).await;
            }
            Ok(done.into_inner())
        });
        Self { stop, running }
    }

    /// Fails when any probe failed.
    async fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let count = self.running.await?.context("a request failed meanwhile")?;
        ensure!(count > 50, "only {count} requests were made");
        Ok(())
    }
}
