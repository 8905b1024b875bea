//! Keys and signatures by the real `ssh-keygen`.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Namespace of the signatures.
const PURPOSE: &str = "kubechat-approval";

/// A person's key pair in a folder of its own.
pub(crate) struct KeyPair {
    folder: TempDir,
}

impl KeyPair {
    /// Makes one: `ed25519`, `ecdsa`, ..
    pub(crate) async fn new(algorithm: &str, passphrase: &str) -> Result<Self> {
        let pair = Self {
            folder: tempfile::tempdir()?,
        };
        let file = pair.private();
        let file = file.to_string_lossy();
        ssh_keygen(
            &["-q", "-t", algorithm, "-N", passphrase, "-C", "test", "-f", &file],
            "",
        )
        .await?;
        Ok(pair)
    }

    /// The file of the private key.
    pub(crate) fn private(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// The line of the public key.
    pub(crate) fn public(&self) -> Result<String> {
        let line = std::fs::read_to_string(self.folder.path().join("key.pub"))?;
        Ok(line.trim().to_owned())
    }

    /// `ssh-keygen -Y sign` over a text.
    pub(crate) async fn sign(&self, text: &str) -> Result<String> {
        let file = self.private();
        ssh_keygen(
            &["-q", "-Y", "sign", "-n", PURPOSE, "-f", &file.to_string_lossy()],
            text,
        )
        .await
    }

    /// `ssh-keygen -Y verify`: fails unless the signature is this key's over this text.
    pub(crate) async fn verify(&self, text: &str, signature: &str) -> Result<()> {
        let (signers, file) = (self.folder.path().join("signers"), self.folder.path().join("sig"));
        std::fs::write(&signers, format!("me {}\n", self.public()?))?;
        std::fs::write(&file, signature)?;
        let (signers, file) = (signers.to_string_lossy(), file.to_string_lossy());
        let args = [
            "-Y", "verify", "-n", PURPOSE, "-I", "me", "-f", &signers, "-s", &file,
        ];
        ssh_keygen(&args, text).await.map(drop)
    }
}

async fn ssh_keygen(args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new("ssh-keygen")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("ssh-keygen does not run (Debian's package openssh-client)")?;
    let mut stdin = child.stdin.take().context("it has no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ssh-keygen {}: {error}", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
