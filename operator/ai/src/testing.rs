//! A model server for tests that does what servers do wrong: its bytes are written as they go over the wire.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::failure::Failure;
use crate::ledger::{Call, End, Ledger};

/// A ledger in memory.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) intended: Mutex<Vec<Call>>,
    pub(crate) done: Mutex<Vec<End>>,
    /// Takes nothing.
    pub(crate) shut: bool,
}

impl Ledger for Book {
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>> {
        if self.shut {
            return Box::pin(async { Err(Failure::Unrecorded) });
        }
        self.intended.lock().unwrap().push(call.clone());
        Box::pin(async { Ok(1) })
    }

    fn done<'a>(&'a self, _: u64, _: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        self.done.lock().unwrap().push(end.clone());
        Box::pin(async { Ok(()) })
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Exactly these bytes, then it closes.
    Bytes(Vec<u8>),
    /// These bytes one by one, with pauses.
    Slowly(Vec<u8>, Duration),
    /// A body without an end.
    Endless,
    /// Nothing, for ever.
    Silence,
    /// It closes at once.
    HangUp,
    /// An answer made from the request.
    From(fn(&str) -> Vec<u8>),
}

/// A server that does the next act for each request and remembers what it was sent.
pub(crate) struct Bad {
    pub(crate) url: Url,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Bad {
    pub(crate) async fn serve(acts: Vec<Act>) -> Self {
        Self::with_tls(acts, None).await
    }

    pub(crate) async fn with_tls(acts: Vec<Act>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{}", listener.local_addr().unwrap())).unwrap();
        let heard = Arc::new(Mutex::new(vec![]));
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            for act in acts {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => talk(stream, act, &ears).await,
                    Some(config) => {
                        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(Arc::clone(config))
                            .accept(stream)
                            .await
                        {
                            talk(stream, act, &ears).await;
                        }
                    }
                }
            }
        });
        Self { url, heard }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, act: Act, ears: &Mutex<Vec<String>>) {
    if matches!(act, Act::HangUp) {
        return;
    }
    let mut request = vec![];
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                })
                .and_then(|n| n.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                ears.lock().unwrap().push(text);
                break;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let heard = String::from_utf8_lossy(&request).into_owned();
    match act {
        Act::Bytes(bytes) => drop(stream.write_all(&bytes).await),
        Act::From(make) => drop(stream.write_all(&make(&heard)).await),
        Act::Slowly(bytes, pause) => {
            for byte in bytes {
                tokio::time::sleep(pause).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
        Act::Endless => {
            let mut ok = stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await;
            while ok.is_ok() {
                ok = stream
                    .write_all(format!("4000\r\n{}\r\n", " ".repeat(0x4000)).as_bytes())
                    .await;
            }
        }
        Act::Silence => std::future::pending().await,
        Act::HangUp => {}
    }
    let _ = stream.shutdown().await;
}

pub(crate) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}
