//! The webhook's certificate: made by the operator, rotated long before it ends. The CA bundle of the webhook
//! configurations holds the old and the new CA before the webhook is given the new certificate. A CA's key is never kept.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::client::call;
use crate::error::Error;

/// Secret with the serving certificate.
pub const SECRET: &str = "kubechat-webhook-tls";
/// Name of both webhook configurations.
const CONFIGURATION: &str = "kubechat";
/// Life of a certificate, in days.
const DAYS: i64 = 90;
/// It is replaced when so many days are left.
const RENEW_DAYS: i64 = 30;
const DAY: i64 = 86_400;

/// Where the API server reaches the webhook.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// KubeChat's namespace.
    pub namespace: String,
    /// Service of the webhook.
    pub service: String,
    /// Base URL, where it is not reached through its Service.
    pub url: Option<String>,
}

/// Keeps certificate and CA bundle in order; cheap when they are.
///
/// # Errors
/// When Secret or configurations cannot be read or written.
pub async fn ensure(client: &Client, endpoint: &Endpoint) -> Result<(), Error> {
    let secret = super::read(client, &endpoint.namespace, SECRET).await?;
    let data = secret.as_ref().and_then(|s| s.data.clone()).unwrap_or_default();
    let now = jiff::Timestamp::now().as_second();
    if days_left(&data, now).is_some_and(|days| days > RENEW_DAYS) {
        return publish(client, endpoint, &text(&data, "ca.crt")).await;
    }
    let made =
        make(endpoint, now).map_err(|e| Error::Internal(format!("no certificate could be made: {e}")))?;
    let mut old_ca = first_certificate(&text(&data, "ca.crt"));
    if old_ca.is_empty() {
        // The Secret was deleted, but the webhook goes on with what it had read: its CA stays trusted.
        old_ca = first_certificate(&published(client).await?);
    }
    let bundle = format!("{}{old_ca}", made.ca);
    publish(client, endpoint, &bundle).await?;
    let data: BTreeMap<String, ByteString> = [
        ("tls.crt", made.certificate),
        ("tls.key", made.key),
        ("ca.crt", bundle),
    ]
    .map(|(k, v)| (k.to_owned(), ByteString(v.into_bytes())))
    .into();
    super::write(
        client,
        &endpoint.namespace,
        SECRET,
        "kubernetes.io/tls",
        data,
        secret,
    )
    .await?;
    tracing::info!(days = DAYS, "made a new certificate for the webhook");
    Ok(())
}

struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn make(endpoint: &Endpoint, now: i64) -> Result<Made, rcgen::Error> {
    let at = |seconds: i64| {
        let days = seconds.div_euclid(DAY);
        rcgen::date_time_ymd(1970, 1, 1)
            + std::time::Duration::from_secs(u64::try_from(days * DAY).unwrap_or_default())
    };
    let mut ca = CertificateParams::new(vec![])?;
    ca.distinguished_name
        .push(DnType::CommonName, format!("kubechat-webhook-ca-{now}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    (ca.not_before, ca.not_after) = (at(now - DAY), at(now + (DAYS + 1) * DAY));
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let mut leaf = CertificateParams::new(names(endpoint))?;
    leaf.distinguished_name
        .push(DnType::CommonName, endpoint.service.clone());
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (leaf.not_before, leaf.not_after) = (at(now - DAY), at(now + DAYS * DAY));
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok(Made {
        ca: ca_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Names the certificate is for: the Service's, and the host of the URL.
fn names(endpoint: &Endpoint) -> Vec<String> {
    let service = format!("{}.{}.svc", endpoint.service, endpoint.namespace);
    let mut names = vec![service.clone(), format!("{service}.cluster.local")];
    let host = endpoint
        .url
        .as_deref()
        .and_then(|url| url.parse::<http::Uri>().ok())
        .and_then(|u| u.host().map(str::to_owned));
    names.extend(host);
    names
}

/// Days until the serving certificate ends; `None` when there is none that can be used: certificate, key and CA must be
/// readable and belong together.
fn days_left(data: &BTreeMap<String, ByteString>, now: i64) -> Option<i64> {
    let pem = data.get("tls.crt")?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem.0).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let key = KeyPair::from_pem(&text(data, "tls.key")).ok()?;
    let is_its_key = key.public_key_raw() == &*certificate.public_key().subject_public_key.data;
    let (_, ca) = x509_parser::pem::parse_x509_pem(&data.get("ca.crt")?.0).ok()?;
    let is_issued_by_it = ca.parse_x509().ok()?.subject() == certificate.issuer();
    let days = (certificate.validity().not_after.timestamp() - now) / DAY;
    (is_its_key && is_issued_by_it).then_some(days)
}

fn text(data: &BTreeMap<String, ByteString>, key: &str) -> String {
    data.get(key)
        .map(|b| String::from_utf8_lossy(&b.0).into_owned())
        .unwrap_or_default()
}

/// The newest certificate of a bundle: the one to keep beside the next. Empty when what stands there is none.
fn first_certificate(bundle: &str) -> String {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(bundle.as_bytes()) else {
        return String::new();
    };
    const END: &str = "-----END CERTIFICATE-----";
    let (from, to) = (bundle.find("-----BEGIN CERTIFICATE-----"), bundle.find(END));
    let text = from
        .zip(to)
        .and_then(|(from, to)| bundle.get(from..to + END.len()));
    text.filter(|_| pem.parse_x509().is_ok())
        .map(|text| format!("{text}\n"))
        .unwrap_or_default()
}

/// The CA bundle that the API server trusts now.
async fn published(client: &Client) -> Result<String, Error> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let found = call("read the webhook configuration", api.get(CONFIGURATION)).await?;
    let bundle = found
        .webhooks
        .into_iter()
        .flatten()
        .find_map(|w| w.client_config.ca_bundle);
    Ok(bundle
        .map(|b| String::from_utf8_lossy(&b.0).into_owned())
        .unwrap_or_default())
}

/// Puts CA bundle and URL into both webhook configurations, where they differ.
async fn publish(client: &Client, endpoint: &Endpoint, bundle: &str) -> Result<(), Error> {
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    put(&mutating, endpoint, bundle, "mutate").await?;
    put(&validating, endpoint, bundle, "validate").await
}

async fn put<K>(api: &Api<K>, endpoint: &Endpoint, bundle: &str, path: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let found = call("read the webhook configuration", api.get(CONFIGURATION)).await?;
    let current = serde_json::to_value(&found)?;
    let Some(hooks) = current.get("webhooks").and_then(Value::as_array) else {
        return Err(Error::Internal(format!(
            "webhook configuration {CONFIGURATION} has no webhooks"
        )));
    };
    let wanted: Vec<Value> = hooks
        .iter()
        .map(|hook| wanted(hook, endpoint, bundle, path))
        .collect();
    if *hooks == wanted {
        return Ok(());
    }
    let version = current
        .pointer("/metadata/resourceVersion")
        .cloned()
        .unwrap_or(Value::Null);
    let patch = json!({"metadata": {"resourceVersion": version}, "webhooks": wanted});
    call(
        "set the CA bundle",
        api.patch(CONFIGURATION, &PatchParams::default(), &Patch::Merge(patch)),
    )
    .await?;
    tracing::info!(configuration = path, "set the CA bundle of the webhook");
    Ok(())
}

/// One webhook entry with our client configuration; everything else as it stands.
fn wanted(hook: &Value, endpoint: &Endpoint, bundle: &str, path: &str) -> Value {
    let ca = serde_json::to_value(ByteString(bundle.as_bytes().to_vec())).unwrap_or(Value::Null);
    let mut hook = hook.clone();
    hook["clientConfig"] = match &endpoint.url {
        Some(url) => json!({"caBundle": ca, "url": format!("{}/{path}", url.trim_end_matches('/'))}),
        None => {
            json!({"caBundle": ca, "service": {"name": endpoint.service, "namespace": endpoint.namespace, "path": format!("/{path}"), "port": 443}})
        }
    };
    hook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            namespace: "kubechat-system".into(),
            service: "kubechat-webhook".into(),
            url: Some("https://127.0.0.1:9443".into()),
        }
    }

    #[test]
    fn a_new_certificate_is_good_for_its_life_and_for_both_ways_of_reaching_the_webhook() {
        let now = 1_800_000_000;
        let made = make(&endpoint(), now).unwrap();
        let (certificate, key, ca) = (made.certificate, made.key, made.ca);
        let data = |c: &str, k: &str, ca: &str| -> BTreeMap<String, ByteString> {
            [("tls.crt", c), ("tls.key", k), ("ca.crt", ca)]
                .map(|(n, v)| (n.to_owned(), ByteString(v.into())))
                .into()
        };
        let whole = data(&certificate, &key, &ca);
        assert!((DAYS - 1..=DAYS).contains(&days_left(&whole, now).unwrap()));
        let other = make(&endpoint(), now + 1).unwrap();
        let unusable = [
            data("nonsense", &key, &ca),
            data(&certificate, "", &ca),
            data(&certificate, &other.key, &ca),
            data(&certificate, &key, "nonsense"),
            data(&certificate, &key, &other.ca),
            BTreeMap::new(),
        ];
        for bad in unusable {
            assert_eq!(days_left(&bad, now), None);
        }
        assert_eq!(
            names(&endpoint()),
            [
                "kubechat-webhook.kubechat-system.svc",
                "kubechat-webhook.kubechat-system.svc.cluster.local",
                "127.0.0.1"
            ]
        );
    }

    #[test]
    fn the_bundle_keeps_one_old_ca() {
        let [one, two] = [1, 2].map(|day| make(&endpoint(), day * DAY).unwrap().ca);
        assert_eq!(first_certificate(&format!("{one}{two}")).trim(), one.trim());
        let cut = one.replace("END CERTIFICATE", "END");
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["", "nonsense", empty, &cut] {
            assert_eq!(first_certificate(bad), "", "{bad}");
        }
    }
}
