//! Finds secrets that people paste into prompts and policies: what [`redact`] finds, said by class and place.
//!
//! **Invariant:** a [`Hit`] says what class stands where, never the value. A text that cannot be looked through counts as
//! a secret whole. Names of Kubernetes objects (`the secret db-password`), image digests and plan digests are no secrets.
//!
//! Called by the webhook on CREATE ChatRequest and on policy objects.

use crate::redact;
pub use crate::redact::Hit;

/// Class of a text that was not looked through to its end.
pub const UNREADABLE: &str = "text-that-cannot-be-checked";

/// Makes the rules ready, so that the first text does not wait for it.
pub fn prepare() {
    let _ = find("");
}

/// All secrets in a text, in order, without overlaps.
#[must_use]
pub fn find(text: &str) -> Vec<Hit> {
    redact::find(text).unwrap_or_else(|_| {
        vec![Hit {
            start: 0,
            end: text.len(),
            class: UNREADABLE,
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts are put together here so that no scanner of repositories takes the tests for a leak.
    fn texts_with_secrets() -> Vec<(&'static str, String)> {
        let random = "Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0";
        let aws = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY0123456789";
        vec![
            (
                "private-key",
                format!(
                    "apply this: -----BEGIN RSA {} KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
                    "PRIVATE"
                ),
            ),
            (
                "private-key",
                format!("-----BEGIN {} KEY-----\ncut off", "PRIVATE"),
            ),
            (
                "aws-access-key-id",
                format!("use {}IOSFODNN7ABCDEFG for the bucket", "AKIA"),
            ),
            ("aws-secret-access-key", format!("AWS_SECRET_ACCESS_KEY={aws}")),
            ("github-token", format!("clone with ghp_{random}")),
            ("github-fine-grained-token", format!("github_pat_{random}")),
            ("gitlab-token", format!("glpat-{}", &random[..20])),
            ("slack-bot-token", format!("xoxb-123456789012-{}", &random[..16])),
            (
                "slack-webhook",
                format!("https://hooks.slack.com/services/T0000/B0000/{}", &random[..24]),
            ),
            ("stripe-key", format!("sk_live_{}", &random[..24])),
            ("google-api-key", format!("AIza{}", &random[..35])),
            ("openai-project-key", format!("sk-proj-{random}")),
            ("huggingface-token", format!("hf_{random}")),
            (
                "jwt",
                format!("log in with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{random}"),
            ),
            (
                "bearer-token",
                format!("curl -H 'Authorization: Bearer {random}'"),
            ),
            (
                "basic-authorization",
                "Authorization: Basic YWRtaW46aHVudGVyMg==".to_owned(),
            ),
            (
                "url-with-password",
                "set DATABASE_URL to postgres://app:hunter2@db:5432/app".to_owned(),
            ),
            (
                "url-with-password",
                "https://:s3cr3t@registry.example.org/v2".to_owned(),
            ),
            ("kubeconfig-key", format!("client-key-data: {random}")),
            (
                "registry-auth",
                r#"{"auths":{"r.io":{"auth":"YWRtaW46aHVudGVyMg=="}}}"#.to_owned(),
            ),
            ("password", "password=hunter2".to_owned()),
            ("password", "passwd: S3cr3t!".to_owned()),
            ("password", "the password is Tr0ub4dor&3".to_owned()),
            (
                "password",
                "set the password of user admin to Winter2026!".to_owned(),
            ),
            (
                "password",
                "kubectl create secret generic db --from-literal=password=c0rrect-horse".to_owned(),
            ),
            ("password", r#"{"password": "p4ssw0rd"}"#.to_owned()),
            ("token", format!("the secret is {random}")),
            ("token", format!("token: {}", random.to_lowercase())),
            ("token", "API_KEY=0a1b2c3d4e5f60718293a4b5".to_owned()),
            ("token", "token: 123e4567-e89b-12d3-a456-426614174000".to_owned()),
            ("token", "client secret is aB3$kL9!pQ".to_owned()),
        ]
    }

    #[test]
    fn finds_secrets_and_says_class_and_place() {
        for (class, text) in texts_with_secrets() {
            let hits = find(&text);
            assert_eq!(hits.len(), 1, "{text}: {hits:?}");
            assert_eq!(hits[0].class, class, "{text}");
            assert!(text.get(hits[0].start..hits[0].end).is_some(), "{text}");
        }
    }

    #[test]
    fn ordinary_sentences_do_not_hit() {
        let digest = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
        let long = [
            format!("set image of deployment nginx to nginx@sha256:{digest}"),
            format!("approve plan with digest sha256:{digest}"),
            format!("what does secret: sha256:{digest} mean"),
        ];
        let plain = [
            "show the secret db-password",
            "list secrets",
            "restart token-service",
            "list secrets in namespace token-exchange",
            "delete secret api-key-v2",
            "which pods use secret db-credentials",
            "the secret is db-credentials-v2",
            "secret: my-app-7d9f8b6c5d-x7k2p",
            "who can read the secret named password",
            "label deployment web token=enabled",
            "set env PASSWORD from secret db key password",
            "why does the pod say wrong password: authentication failed for user app",
            "the password is wrong",
            "password: <password>",
            "password=$DB_PASSWORD",
            "set PASSWORD=${DB_PASSWORD} on deployment web",
            "token: {{ .Values.token }}",
            "password=********",
            "mount token=/var/run/secrets/kubernetes.io/serviceaccount/token",
            "kubeadm token-ttl=24h0m0s",
            "scale nginx to 5 replicas",
            "get pods -l app.kubernetes.io/name=nginx,tier=web",
            "logs of task-sk-worker-0123456789",
            "open https://grafana.example.org:3000/d/abc?from=now-1h",
            "image registry.example.org:5000/team/app:v1.2.3",
            "postgres://app:<password>@db/app does not connect",
            "bearer of bad news",
            "bearer authentication-required",
            "basic authentication is off",
            "public key: see the wiki",
            "the key is under-the-mat",
            "what is a PRIVATE KEY secret",
            "secret token is missing: MountVolume.SetUp failed",
            "token expires to-morrow-morning",
            "pod nginx-7c5ddbdf54-abcde with uid 123e4567-e89b-12d3-a456-426614174000",
            "",
        ];
        for text in plain.iter().copied().chain(long.iter().map(String::as_str)) {
            assert_eq!(find(text), vec![], "{text}");
        }
    }

    #[test]
    fn several_secrets_are_found_in_order_and_never_overlap() {
        let text = "password=hunter2 and then passwd: S3cr3t! ü token: abcDEF123456ghi";
        let hits = find(text);
        assert_eq!(hits.len(), 3, "{hits:?}");
        assert!(hits.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert_eq!(text.get(hits[2].start..hits[2].end), Some("abcDEF123456ghi"));
    }

    #[test]
    fn a_prompt_of_the_largest_size_is_read_in_one_pass() {
        let text = "password token secret key is ".repeat(16_384 / 29);
        assert_eq!(find(&text), vec![]);
    }
}
