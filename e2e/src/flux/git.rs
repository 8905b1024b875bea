//! Git: bare repositories in a folder, served over HTTP on loopback by `git http-backend`, and commits to them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// The branch of every repository.
pub const BRANCH: &str = "main";
/// Longest single Git command.
const DEADLINE: Duration = Duration::from_secs(30);

/// Serves every bare repository of a folder. Dropping it stops it.
#[derive(Debug)]
pub struct GitServer {
    folder: PathBuf,
    port: u16,
    task: JoinHandle<()>,
}

impl GitServer {
    /// Serves this folder on a free loopback port.
    ///
    /// # Errors
    /// When the folder cannot be made or no port is free.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("{} was not made", folder.display()))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let root: Arc<Path> = Arc::from(folder);
        let router = Router::new().fallback(serve).with_state(root);
        let task = tokio::spawn(async move {
            // It runs until it is dropped; then nobody is left to hear why it ended.
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self {
            folder: folder.to_owned(),
            port,
            task,
        })
    }

    /// Makes an empty repository.
    ///
    /// # Errors
    /// When there is one of that name, or git does not run.
    pub async fn repository(&self, name: &str) -> Result<Repository> {
        let bare = self.folder.join(format!("{name}.git"));
        ensure!(!bare.exists(), "there is a repository {name} already");
        let tree = self.folder.join(format!("{name}.tree"));
        let place = |path: &Path| path.to_string_lossy().into_owned();
        let initial = format!("--initial-branch={BRANCH}");
        git(
            &self.folder,
            &["init", "--quiet", "--bare", &initial, &place(&bare)],
        )
        .await?;
        git(&self.folder, &["init", "--quiet", &initial, &place(&tree)]).await?;
        git(&tree, &["remote", "add", "origin", &place(&bare)]).await?;
        Ok(Repository {
            url: format!("http://127.0.0.1:{}/{name}.git", self.port),
            tree,
        })
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A repository and a working tree of it.
#[derive(Clone, Debug)]
pub struct Repository {
    url: String,
    tree: PathBuf,
}

impl Repository {
    /// Where Flux fetches it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Writes a file of the working tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.tree.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Removes a file of the working tree.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, path: &str) -> Result<()> {
        let file = self.tree.join(path);
        std::fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))
    }

    /// Commits the working tree as it is (also when nothing changed), pushes it, and returns the commit.
    ///
    /// # Errors
    /// When git refuses.
    pub async fn push(&self, message: &str) -> Result<String> {
        git(&self.tree, &["add", "--all"]).await?;
        git(
            &self.tree,
            &["commit", "--quiet", "--allow-empty", "--message", message],
        )
        .await?;
        git(&self.tree, &["push", "--quiet", "origin", BRANCH]).await?;
        let commit = git(&self.tree, &["rev-parse", "HEAD"]).await?;
        Ok(commit.trim().to_owned())
    }
}

/// Git without the person's or the machine's settings.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "e2e"),
            ("GIT_AUTHOR_EMAIL", "e2e@example.org"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "e2e"),
            ("GIT_COMMITTER_EMAIL", "e2e@example.org"),
        ])
        .kill_on_drop(true);
    command
}

async fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let run = command(folder).args(args).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(DEADLINE, run)
        .await
        .with_context(|| format!("git {args:?} did not end"))?
        .context("git does not run; install it with: apt-get install git")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr))
}

async fn serve(
    State(root): State<Arc<Path>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match backend(&root, &method, &uri, &headers, &body).await {
        Ok(response) => response,
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason:#}")).into_response(),
    }
}

/// One request as CGI (RFC 3875), the only language `git http-backend` speaks.
async fn backend(
    root: &Path,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut child = command(root)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("git does not run")?;
    let mut stdin = child.stdin.take().context("git has no standard input")?;
    let exchange = async {
        stdin.write_all(body).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(DEADLINE, exchange)
        .await
        .context("git http-backend did not end")??;
    parse(output.stdout)
}

/// A CGI answer: header lines, an empty line, the body.
fn parse(mut answer: Vec<u8>) -> Result<Response> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.context("git http-backend gave no header")?;
    let body = answer.split_off(end + 4);
    let mut response = Response::new(Body::from(body));
    for line in String::from_utf8_lossy(&answer).lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split_whitespace().next().unwrap_or_default();
            *response.status_mut() = StatusCode::from_bytes(code.as_bytes())?;
        } else {
            let (name, value) = (HeaderName::try_from(name)?, HeaderValue::from_str(value.trim())?);
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[tokio::test]
    async fn what_was_pushed_is_fetched_over_http() {
        let folder = TempDir::new().unwrap();
        let server = GitServer::start(&folder.path().join("served")).await.unwrap();
        let repository = server.repository("demo").await.unwrap();
        assert!(server.repository("demo").await.is_err(), "a second of that name");
        repository.write("team/a.yaml", "kind: A\n").unwrap();
        let first = repository.push("first").await.unwrap();
        repository.remove("team/a.yaml").unwrap();
        repository.write("b.yaml", "kind: B\n").unwrap();
        let second = repository.push("second").await.unwrap();
        assert_ne!(first, second);

        git(folder.path(), &["clone", "--quiet", repository.url(), "copy"])
            .await
            .unwrap();
        let copy = folder.path().join("copy");
        assert_eq!(std::fs::read_to_string(copy.join("b.yaml")).unwrap(), "kind: B\n");
        assert!(!copy.join("team/a.yaml").exists());
        let missing = repository.url().replace("demo", "missing");
        let refused = git(folder.path(), &["clone", "--quiet", &missing, "none"]).await;
        assert!(refused.is_err(), "a repository that is not there");
    }

    #[test]
    fn a_cgi_answer_without_header_is_an_error() {
        assert!(parse(b"nothing".to_vec()).is_err());
        let answer = parse(b"Status: 404 Not Found\r\nContent-Type: a/b\r\n\r\nbody".to_vec()).unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()["content-type"], "a/b");
    }
}
