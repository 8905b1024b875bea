//! The only connection to a model: one request, one answer, then it is closed. The address is resolved here, judged
//! ([`address`]), and exactly that address is connected to, so that a name cannot lead elsewhere in between.
//!
//! **Invariants:** no redirect is followed, no proxy is used, no certificate is taken on trust; every answer is bounded in
//! bytes and time.

mod address;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

pub use address::{Reach, Refused};

use crate::failure::Failure;

/// Bytes of the head of an answer at most.
const MAX_HEAD: usize = 64 * 1024;
/// Longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Where a model server is and how it is known.
#[derive(Clone)]
pub struct Server {
    url: Url,
    reach: Reach,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server at a base URL. `roots` are the certificates that may vouch for it; `name` is the one its own must carry
    /// (that of the URL without one).
    ///
    /// # Errors
    /// When the URL is none to be reached, or the roots cannot be used.
    pub fn new(
        url: &Url,
        reach: Reach,
        roots: &[CertificateDer<'_>],
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().filter(|_| plain).ok_or(Refused::Url)?;
        let tls = match url.scheme() {
            "http" if reach.may_be_plain() => None,
            "http" => return Err(Refused::Plain.into()),
            "https" => {
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(root.clone().into_owned()).map_err(|_| Refused::Roots)?;
                }
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let mut config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|_| Refused::Roots)?
                    .with_root_certificates(store)
                    .with_no_client_auth();
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                let name = name
                    .unwrap_or(host)
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                Some((
                    Arc::new(config),
                    ServerName::try_from(name).map_err(|_| Refused::Url)?,
                ))
            }
            _ => return Err(Refused::Url.into()),
        };
        Ok(Self {
            url: url.clone(),
            reach,
            tls,
        })
    }

    /// Scheme, host and port, for the record.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends a body and gives the answer's to `ear`, as it comes in; `path` is appended to the base URL's.
    ///
    /// # Errors
    /// When the address must not be reached, or no whole, successful answer came within the limits.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        limits: Bounds,
        ear: &mut dyn Ear,
    ) -> Result<(), Failure> {
        let exchange = self.exchange(path, headers, body, limits.bytes, ear);
        tokio::time::timeout(limits.time, exchange)
            .await
            .unwrap_or(Err(Failure::Timeout(limits.time)))
    }

    async fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        most: usize,
        ear: &mut dyn Ear,
    ) -> Result<(), Failure> {
        let stream = self.connect().await?;
        match &self.tls {
            None => self.speak(stream, path, headers, body, most, ear).await,
            Some((config, name)) => {
                let tls = TlsConnector::from(Arc::clone(config))
                    .connect(name.clone(), stream)
                    .await;
                // What TLS says of a wrong certificate is for the operator's log at most; here its sort is enough.
                let tls = tls.map_err(|_| {
                    Failure::Unreachable("its certificate was not accepted, or it speaks no TLS")
                })?;
                self.speak(tls, path, headers, body, most, ear).await
            }
        }
    }

    /// Connects to an address that was looked at.
    async fn connect(&self) -> Result<TcpStream, Failure> {
        let port = self.url.port_or_known_default().ok_or(Refused::Url)?;
        let addresses: Vec<SocketAddr> = match self.url.host() {
            Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
            Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
            Some(Host::Domain(name)) => tokio::net::lookup_host((name, port))
                .await
                .map_err(|_| Failure::Unreachable("its name does not resolve"))?
                .collect(),
            None => return Err(Refused::Url.into()),
        };
        // One wrong address among several is no accident.
        for address in &addresses {
            self.reach.judge(address.ip())?;
        }
        let mut last = Failure::Unreachable("its name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(_) => last = Failure::Unreachable("nobody listens there"),
            }
        }
        Err(last)
    }

    async fn speak<S>(
        &self,
        stream: S,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        most: usize,
        ear: &mut dyn Ear,
    ) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broke = |_| Failure::Unreachable("the connection broke");
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(broke)?;
        let host = match self.url.port() {
            Some(port) => format!("{}:{port}", self.url.host_str().unwrap_or_default()),
            None => self.url.host_str().unwrap_or_default().to_owned(),
        };
        let mut request = http::Request::post(format!("{}{path}", self.url.path().trim_end_matches('/')))
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(
                http::header::ACCEPT,
                "application/json, application/x-ndjson, text/event-stream",
            )
            .header(http::header::CONNECTION, "close");
        for (name, value) in headers {
            let mut value = http::HeaderValue::from_str(value).map_err(|_| Refused::Credential)?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body.into())).map_err(|_| Refused::Url)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(broke)?;
            read(answer, most, ear).await
        };
        // The connection lives exactly as long as the exchange: dropped together, whatever ends first.
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

/// Limits of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the first look-up to the last byte.
    pub time: Duration,
    /// Of the answer's body.
    pub bytes: usize,
}

/// Who hears an answer.
pub trait Ear: Send {
    /// It begins, and is of this content type; empty where none was said.
    fn begin(&mut self, content_type: &str);
    /// A piece of it, however the network cut it.
    fn data(&mut self, bytes: &[u8]);
}

async fn read(answer: http::Response<Incoming>, most: usize, ear: &mut dyn Ear) -> Result<(), Failure> {
    let status = answer.status().as_u16();
    match status {
        200 => {}
        429 | 503 | 529 => {
            let after = answer.headers().get(http::header::RETRY_AFTER);
            let seconds = after
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.trim().parse().ok());
            return Err(Failure::Busy {
                after: seconds.map(|s| Duration::from_secs(s).min(MAX_RETRY_AFTER)),
            });
        }
        _ => return Err(Failure::Status(status)),
    }
    if answer.headers().contains_key(http::header::CONTENT_ENCODING) {
        return Err(Failure::Form("it is compressed, which was not asked for"));
    }
    let content_type = answer.headers().get(http::header::CONTENT_TYPE);
    ear.begin(content_type.and_then(|v| v.to_str().ok()).unwrap_or_default());
    let mut body = answer.into_body();
    let mut all = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Unreachable("the connection broke"))?;
        let Ok(data) = frame.into_data() else { continue };
        all += data.len();
        if all > most {
            return Err(Failure::TooLong(most));
        }
        ear.data(&data);
    }
    Ok(())
}
