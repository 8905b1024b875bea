//! Finds secrets that people paste into prompts and policies.
//!
//! Structure first (well-known forms of tokens), then `password: ...` with a value that looks like one. Each rule has
//! keywords that are looked for before its pattern is run. **Invariant:** a [`Hit`] says what class stands where, never
//! the value. Names of Kubernetes objects (`the secret db-password`), image digests and plan digests are no secrets.
//!
//! Called by the webhook on CREATE ChatRequest and on policy objects.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A secret in a text: what kind, and its bytes (UTF-8, end exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Stable name of the class, for messages and metrics.
    pub class: &'static str,
}

/// What a pattern's match must pass to count.
#[derive(Clone, Copy)]
enum Check {
    /// The form is proof enough.
    Form,
    /// Group `v` must be random-looking: long, mixed or of high entropy.
    Random,
    /// Group `v` must be no placeholder.
    NoPlaceholder,
    /// Group `v` must look like a chosen password.
    Password,
    /// Group `v` must look like a token and not like the name of an object.
    Token,
}

struct Rule {
    class: &'static str,
    keywords: &'static [&'static str],
    pattern: Regex,
    check: Check,
}

/// Class, keywords (lower case), pattern, check. The secret is group `v`, or the whole match without one.
type Source = (&'static str, &'static [&'static str], &'static str, Check);

const SOURCES: &[Source] = &[
    (
        "private-key",
        &["private key"],
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|.*)",
        Check::Form,
    ),
    (
        "age-key",
        &["age-secret-key"],
        r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b",
        Check::Form,
    ),
    (
        "aws-access-key-id",
        &["akia", "asia", "abia", "acca"],
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        Check::Form,
    ),
    (
        "aws-secret-access-key",
        &["aws"],
        r#"(?i)aws[^\n]{0,24}(?:secret|key)[^\n]{0,12}?[=:\s"']+(?P<v>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        Check::Random,
    ),
    (
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b",
        Check::Form,
    ),
    (
        "github-token",
        &["github_pat_"],
        r"\bgithub_pat_[A-Za-z0-9_]{22,255}\b",
        Check::Form,
    ),
    (
        "gitlab-token",
        &["gl"],
        r"\bgl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent|oas)-[A-Za-z0-9_\-]{20,}",
        Check::Form,
    ),
    (
        "slack-token",
        &["xox", "xapp-"],
        r"\b(?:xox[abceoprs]|xapp)-[A-Za-z0-9\-]{10,}",
        Check::Form,
    ),
    (
        "slack-webhook",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}",
        Check::Form,
    ),
    (
        "stripe-key",
        &["k_live_", "k_test_"],
        r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
        Check::Form,
    ),
    (
        "google-api-key",
        &["aiza"],
        r"\bAIza[0-9A-Za-z_\-]{35}",
        Check::Form,
    ),
    (
        "google-oauth-token",
        &["ya29."],
        r"\bya29\.[0-9A-Za-z_\-]{20,}",
        Check::Form,
    ),
    (
        "ai-api-key",
        &["sk-"],
        r"\bsk-(?:ant-|proj-|svcacct-|or-)?(?P<v>[A-Za-z0-9_\-]{32,})",
        Check::Random,
    ),
    (
        "vendor-token",
        &["npm_", "hf_", "hvs.", "dop_v1_", "dckr_pat_", "pypi-"],
        r"\b(?:npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|hvs\.[A-Za-z0-9_\-]{20,}|dop_v1_[a-f0-9]{64}|dckr_pat_[A-Za-z0-9_\-]{20,}|pypi-[A-Za-z0-9_\-]{50,})",
        Check::Form,
    ),
    (
        "jwt",
        &["eyj"],
        r"\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
        Check::Form,
    ),
    (
        "bearer-token",
        &["bearer"],
        r"(?i)\bbearer\s+(?P<v>[A-Za-z0-9._~+/=\-]{12,})",
        Check::Token,
    ),
    (
        "basic-authorization",
        &["basic"],
        r#"(?i)authorization["']?\s*[:=]\s*["']?basic\s+(?P<v>[A-Za-z0-9+/]{8,}={0,2})"#,
        Check::Form,
    ),
    (
        "url-with-password",
        &["://"],
        r#"(?i)\b[a-z][a-z0-9+.\-]{1,20}://[^\s/:@"']{0,256}:(?P<v>[^\s/@"']{1,512})@"#,
        Check::NoPlaceholder,
    ),
    (
        "kubeconfig",
        &["client-key-data"],
        r#"(?i)client-key-data["']?\s*[:=]\s*["']?(?P<v>[A-Za-z0-9+/=]{24,})"#,
        Check::Form,
    ),
    (
        "registry-auth",
        &["auth"],
        r#"(?i)["']auth["']\s*:\s*["'](?P<v>[A-Za-z0-9+/]{12,}={0,2})["']"#,
        Check::NoPlaceholder,
    ),
    (
        "password",
        &["passw", "passphrase", "pwd"],
        r#"(?i)(?:password|passwd|passwort|passphrase|pwd)s?["']?(?:\s+(?:for|of)(?:\s+[\w.@\-]+){1,3}?)?(?:\s*(?::=|=>|=|:)\s*|\s+(?:is|to|as)\s*:?\s+)["'`]?(?P<v>[^\s"'`,;]{6,})"#,
        Check::Password,
    ),
    (
        "token",
        &["secret", "token", "key", "credential"],
        r#"(?i)(?:secret|token|credentials?|(?:api|access|auth|secret|private|account|signing|encryption|client)[_.\- ]?key)["']?(?:\s*(?::=|=>|=|:)\s*|\s+(?:is|to|as)\s*:?\s+)["'`]?(?P<v>[^\s"'`,;]{8,})"#,
        Check::Token,
    ),
];

/// The rules, compiled once. A test proves that every pattern compiles, so none is ever left out.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let compile = |(class, keywords, pattern, check): &Source| {
        Regex::new(pattern).ok().map(|pattern| Rule {
            class,
            keywords,
            pattern,
            check: *check,
        })
    };
    SOURCES.iter().filter_map(compile).collect()
});

/// Compiles the patterns now, so that the first text does not wait for it.
pub fn prepare() {
    LazyLock::force(&RULES);
}

/// All secrets in a text, in order, without overlaps (the first rule that covers a place names it).
#[must_use]
pub fn find(text: &str) -> Vec<Hit> {
    let lower = text.to_ascii_lowercase();
    let mut hits: Vec<Hit> = Vec::new();
    for rule in RULES
        .iter()
        .filter(|rule| rule.keywords.iter().any(|word| lower.contains(word)))
    {
        for found in rule.pattern.captures_iter(text) {
            if let Some(hit) = judge(rule, &found)
                && !hits
                    .iter()
                    .any(|seen| seen.start < hit.end && hit.start < seen.end)
            {
                hits.push(hit);
            }
        }
    }
    hits.sort_unstable();
    hits
}

fn judge(rule: &Rule, found: &Captures<'_>) -> Option<Hit> {
    let secret = found.name("v").or_else(|| found.get(0))?;
    let value = secret.as_str();
    let counts = match rule.check {
        Check::Form => true,
        Check::Random => !is_placeholder(value) && is_random(value),
        Check::NoPlaceholder => !is_placeholder(value),
        Check::Password => !is_placeholder(value) && !is_reference(value) && looks_chosen(value),
        Check::Token => !is_placeholder(value) && !is_reference(value) && looks_like_token(value),
    };
    counts.then_some(Hit {
        start: secret.start(),
        end: secret.end(),
        class: rule.class,
    })
}

/// `<password>`, `$TOKEN`, `${x}`, `$(x)`, `{{ x }}`, `***`, `xxxx`, `...`: a gap to be filled, not a value.
fn is_placeholder(value: &str) -> bool {
    let first = value.chars().next();
    matches!(first, Some('<' | '$' | '{' | '%' | '['))
        || value.chars().all(|c| Some(c) == first)
        || value.starts_with("...")
}

/// A path, a URL, a digest or an image: says where something stands.
fn is_reference(value: &str) -> bool {
    value.starts_with("sha256:")
        || value.starts_with(['/', '.', '~', '-'])
        || value.contains("://")
        || value.contains("@sha256:")
}

/// How many of lower case, upper case, digits and other characters occur.
fn classes(value: &str) -> usize {
    let tests: [fn(&u8) -> bool; 4] = [
        u8::is_ascii_lowercase,
        u8::is_ascii_uppercase,
        u8::is_ascii_digit,
        |b| !b.is_ascii_alphanumeric(),
    ];
    tests
        .iter()
        .filter(|test| value.as_bytes().iter().any(test))
        .count()
}

/// Shannon entropy in bits a byte.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let length = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX).max(1));
    let part = |count: &u32| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(part).sum()
}

/// Long, of high entropy, and of more than one class: no word or name.
fn is_random(value: &str) -> bool {
    value.len() >= 20 && entropy(value) >= 3.0 && classes(value) >= 2
}

/// Words joined by punctuation (`reset-by-admin.`): prose or a name, not a chosen password.
fn is_words(value: &str) -> bool {
    let joiner = |c: char| matches!(c, '-' | '_' | '.' | '/' | ':' | '?' | '!' | ')' | '(');
    value.split(joiner).all(|word| {
        let mut letters = word.chars();
        let capital_first = letters.next().is_none_or(char::is_alphabetic);
        capital_first && (letters.clone().all(char::is_lowercase) || letters.all(char::is_uppercase))
    })
}

/// What a person chooses as a password: mixed characters, or long and random. Plain words do not count.
fn looks_chosen(value: &str) -> bool {
    !is_words(value) && (classes(value) >= 2 || is_random(value))
}

/// What a machine makes as a token. The name of an object (`db-token-x7k2p`, `v1.2.3`) does not count.
fn looks_like_token(value: &str) -> bool {
    if is_words(value) {
        return false;
    }
    let name =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '/' | ':' | '_');
    if !value.chars().all(name) {
        return classes(value) >= 3 || is_random(value);
    }
    let long_run = |run: &str| run.len() >= 16 && classes(run) >= 2 && entropy(run) >= 3.0;
    value.split(|c: char| !c.is_ascii_alphanumeric()).any(long_run) || is_uuid(value)
}

fn is_uuid(value: &str) -> bool {
    let lengths = value.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && value.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for (class, keywords, pattern, _) in SOURCES {
            assert!(Regex::new(pattern).is_ok(), "{class}");
            assert!(
                keywords.iter().all(|word| *word == word.to_ascii_lowercase()),
                "{class}"
            );
        }
        assert_eq!(RULES.len(), SOURCES.len());
    }

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
            ("github-token", format!("github_pat_{random}")),
            ("gitlab-token", format!("glpat-{}", &random[..20])),
            ("slack-token", format!("xoxb-123456789012-{}", &random[..16])),
            (
                "slack-webhook",
                format!("https://hooks.slack.com/services/T0000/B0000/{}", &random[..24]),
            ),
            ("stripe-key", format!("sk_live_{}", &random[..24])),
            ("google-api-key", format!("AIza{}", &random[..35])),
            ("ai-api-key", format!("sk-proj-{random}")),
            ("vendor-token", format!("hf_{random}")),
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
            ("kubeconfig", format!("client-key-data: {random}")),
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
