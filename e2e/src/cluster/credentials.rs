//! Keys and tokens of one cluster, and the kubeconfigs made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use super::Component;
use crate::accounts::{self, ACCOUNTS, Account};
use crate::build::write_atomically;

/// The cluster's name in the kubeconfigs.
const CLUSTER: &str = "kubechat";
const TOKEN_BYTES: usize = 24;

/// The components that call the API server: (component, user, group). Controllers and scheduler have the
/// identities of a real cluster, whose roles the API server makes itself; kwok has no role of its own.
const COMPONENT_USERS: [(Component, &str, &[&str]); 3] = [
    (
        Component::KubeControllerManager,
        "system:kube-controller-manager",
        &[],
    ),
    (Component::KubeScheduler, "system:kube-scheduler", &[]),
    (Component::Kwok, "system:kwok", &["system:masters"]),
];

/// Bearer tokens by user name.
#[derive(Clone)]
pub(super) struct Credentials {
    tokens: BTreeMap<String, String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("users", &self.tokens.keys())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads keys and tokens of the folder; makes those that are missing.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let key = folder.join("sa.key");
        if !key.exists() {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
                .context("no key for service accounts was made")?;
            write_atomically(&folder.join("sa.pub"), &pair.public_key_pem())?;
            write_atomically(&key, &pair.serialize_pem())?;
        }
        let file = folder.join("tokens.json");
        let known = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let mut tokens: BTreeMap<String, String> = known.unwrap_or_default();
        let mut lines = String::new();
        for (user, uid, groups) in users() {
            let token = tokens.entry(user.to_owned()).or_insert_with(random_token);
            lines.push_str(&accounts::token_line(token, user, uid, groups));
        }
        write_atomically(&file, &serde_json::to_string_pretty(&tokens)?)?;
        write_atomically(&folder.join("tokens.csv"), &lines)?;
        Ok(Self { tokens })
    }

    /// Writes the people's kubeconfig and one for each component; fails until the API server has made its
    /// certificate.
    pub(super) fn write_kubeconfigs(&self, folder: &Path, server: &str) -> Result<()> {
        let authority = authority(folder)?;
        let write = |file: &str, config: &Value| {
            write_atomically(&folder.join(file), &serde_saphyr::to_string(config)?)
        };
        let people = ACCOUNTS
            .iter()
            .map(|account| (account.name, account.name, account.namespace));
        write(
            "kubeconfig",
            &self.kubeconfig(server, &authority, people, accounts::CURRENT),
        )?;
        for (component, user, _) in COMPONENT_USERS {
            let name = component.program();
            let config = self.kubeconfig(server, &authority, [(name, user, "default")].into_iter(), name);
            write(&format!("{name}.kubeconfig"), &config)?;
        }
        Ok(())
    }

    fn kubeconfig<'a>(
        &self,
        server: &str,
        authority: &str,
        contexts: impl Iterator<Item = (&'a str, &'a str, &'a str)> + Clone,
        current: &str,
    ) -> Value {
        let users = contexts
            .clone()
            .map(|(name, user, _)| json!({"name": name, "user": {"token": self.tokens.get(user)}}));
        kubeconfig(
            server,
            authority,
            &users.collect::<Vec<Value>>(),
            contexts.map(|(name, _, namespace)| (name, namespace)),
            current,
        )
    }
}

/// A kubeconfig whose one user reads its token from a file, again and again.
pub(crate) fn token_file_kubeconfig(folder: &Path, server: &str, user: &str, token: &Path) -> Result<String> {
    let users = [json!({"name": user, "user": {"tokenFile": token}})];
    let contexts = [(user, accounts::SYSTEM)].into_iter();
    Ok(serde_saphyr::to_string(&kubeconfig(
        server,
        &authority(folder)?,
        &users,
        contexts,
        user,
    ))?)
}

fn kubeconfig<'a>(
    server: &str,
    authority: &str,
    users: &[Value],
    contexts: impl Iterator<Item = (&'a str, &'a str)>,
    current: &str,
) -> Value {
    let contexts: Vec<Value> = contexts
        .map(|(name, namespace)| {
            json!({"name": name, "context": {"cluster": CLUSTER, "user": name, "namespace": namespace}})
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": users,
        "contexts": contexts,
        "current-context": current,
    })
}

/// The certificate the API server made for itself; it is its own authority.
fn authority(folder: &Path) -> Result<String> {
    let path: PathBuf = folder.join("certs/apiserver.crt");
    let certificate = std::fs::read(&path).with_context(|| format!("{} is not there yet", path.display()))?;
    Ok(STANDARD.encode(certificate))
}

/// Everyone in the token file: (user, uid, groups).
fn users() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    let people = ACCOUNTS.iter().map(
        |Account {
             name, uid, groups, ..
         }| (*name, *uid, *groups),
    );
    people.chain(
        COMPONENT_USERS
            .iter()
            .map(|(_, user, groups)| (*user, *user, *groups)),
    )
}

fn random_token() -> String {
    let mut bytes = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tempfile::TempDir;

    #[test]
    fn keys_and_tokens_stay_the_same_at_the_next_start() {
        let folder = TempDir::new().unwrap();
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
        let first = Credentials::open(folder.path()).unwrap();
        let before = (read("sa.key"), read("tokens.csv"));
        let second = Credentials::open(folder.path()).unwrap();
        assert_eq!(first.tokens, second.tokens);
        assert_eq!((read("sa.key"), read("tokens.csv")), before);
        assert_eq!(
            first.tokens.values().collect::<BTreeSet<_>>().len(),
            ACCOUNTS.len() + COMPONENT_USERS.len()
        );
    }

    #[test]
    fn no_kubeconfig_before_the_server_has_a_certificate() {
        let folder = TempDir::new().unwrap();
        let credentials = Credentials::open(folder.path()).unwrap();
        assert!(
            credentials
                .write_kubeconfigs(folder.path(), "https://127.0.0.1:1")
                .is_err()
        );
        assert!(!folder.path().join("kubeconfig").exists());
    }

    #[test]
    fn the_kubeconfig_starts_as_alice_in_demo_and_has_everyone() {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("certs")).unwrap();
        std::fs::write(folder.path().join("certs/apiserver.crt"), "certificate").unwrap();
        let credentials = Credentials::open(folder.path()).unwrap();
        credentials
            .write_kubeconfigs(folder.path(), "https://127.0.0.1:1")
            .unwrap();
        let config = kube::config::Kubeconfig::read_from(folder.path().join("kubeconfig")).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("alice"));
        let names: Vec<&str> = config
            .contexts
            .iter()
            .map(|context| context.name.as_str())
            .collect();
        assert_eq!(names, ["admin", "alice", "bob", "carol", "dave", "erin"]);
        let namespace = |name: &str| {
            let found = config.contexts.iter().find(|context| context.name == name)?;
            found.context.as_ref()?.namespace.clone()
        };
        assert_eq!(namespace("alice").as_deref(), Some("demo"));
        assert_eq!(namespace("erin").as_deref(), Some("ops"));
    }

    #[test]
    fn tokens_do_not_show_in_debug_output() {
        let folder = TempDir::new().unwrap();
        let credentials = Credentials::open(folder.path()).unwrap();
        let shown = format!("{credentials:?}");
        assert!(shown.contains("alice"));
        assert!(credentials.tokens.values().all(|token| !shown.contains(token)));
    }
}
