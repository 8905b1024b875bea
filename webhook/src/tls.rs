//! The serving certificate: from the Secret that the operator makes to a TLS configuration. Connections take the newest
//! one when they begin, so a rotation needs no restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Name of the Secret in KubeChat's namespace.
pub(crate) const SECRET_NAME: &str = "kubechat-webhook-tls";
/// Data key of the certificate chain (PEM).
const CERTIFICATE: &str = "tls.crt";
/// Data key of the private key (PEM).
const PRIVATE_KEY: &str = "tls.key";

/// Why a Secret holds no usable certificate. Never says what it holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("Secret kubechat-webhook-tls has no {0}; the certificate in use stays")]
    Missing(&'static str),
    #[error("Secret kubechat-webhook-tls: {0} is no PEM; the certificate in use stays")]
    NotPem(&'static str),
    #[error(
        "Secret kubechat-webhook-tls: certificate and key cannot be used together; the certificate in use stays: {0}"
    )]
    Unusable(#[from] rustls::Error),
}

/// The TLS configuration that a Secret's data describes.
pub(crate) fn server_config(data: &BTreeMap<String, ByteString>) -> Result<Arc<ServerConfig>, TlsError> {
    let field = |name: &'static str| {
        data.get(name)
            .map(|bytes| bytes.0.as_slice())
            .ok_or(TlsError::Missing(name))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(field(CERTIFICATE)?)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NotPem(CERTIFICATE))?;
    if chain.is_empty() {
        return Err(TlsError::NotPem(CERTIFICATE));
    }
    let key =
        PrivateKeyDer::from_pem_slice(field(PRIVATE_KEY)?).map_err(|_| TlsError::NotPem(PRIVATE_KEY))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(certificate: &str, key: &str) -> BTreeMap<String, ByteString> {
        let data = [(CERTIFICATE, certificate), (PRIVATE_KEY, key)];
        data.into_iter()
            .map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec())))
            .collect()
    }

    #[test]
    fn reads_a_certificate_and_its_key() {
        let made =
            rcgen::generate_simple_self_signed(vec!["kubechat-webhook.kubechat-system.svc".to_owned()])
                .unwrap();
        let data = secret(&made.cert.pem(), &made.signing_key.serialize_pem());
        assert!(server_config(&data).is_ok());
    }

    #[test]
    fn refuses_missing_broken_and_mismatched_material() {
        let pair = || rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let (one, other) = (pair(), pair());
        let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let no_key = BTreeMap::from([(
            CERTIFICATE.to_owned(),
            ByteString(certificate.clone().into_bytes()),
        )]);
        assert!(matches!(
            server_config(&no_key),
            Err(TlsError::Missing(PRIVATE_KEY))
        ));
        assert!(matches!(
            server_config(&BTreeMap::new()),
            Err(TlsError::Missing(CERTIFICATE))
        ));
        assert!(matches!(
            server_config(&secret("", &key)),
            Err(TlsError::NotPem(CERTIFICATE))
        ));
        assert!(matches!(
            server_config(&secret(&certificate, "x")),
            Err(TlsError::NotPem(PRIVATE_KEY))
        ));
        let mismatched = secret(&certificate, &other.signing_key.serialize_pem());
        assert!(matches!(server_config(&mismatched), Err(TlsError::Unusable(_))));
    }
}
