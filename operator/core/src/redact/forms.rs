//! Secrets whose form needs more than first letters: keys in armour, URLs with a password, tokens of several parts.
//!
//! A pattern is run on the few bytes from the place where one of its keywords stands, never over the whole text. The
//! secret is group `v`, or the whole match without one.

/// What a match must pass to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The form is proof enough.
    Form,
    /// No gap to be filled.
    NoPlaceholder,
    /// It looks like a token and not like the name of an object.
    Token,
    /// Its first part is JSON that says how it is signed or encrypted.
    Jose,
}

/// A form.
pub(super) struct Form {
    pub(super) class: &'static str,
    /// Lower case.
    pub(super) keywords: &'static [&'static str],
    /// Bytes before the keyword that the pattern sees.
    pub(super) before: usize,
    /// Bytes from the keyword on that it sees; 0 is all that follows.
    pub(super) after: usize,
    pub(super) pattern: &'static str,
    pub(super) check: Check,
}

const fn form(
    class: &'static str,
    keywords: &'static [&'static str],
    (before, after): (usize, usize),
    pattern: &'static str,
    check: Check,
) -> Form {
    Form {
        class,
        keywords,
        before,
        after,
        pattern,
        check,
    }
}

pub(super) const FORMS: &[Form] = &[
    form(
        "private-key",
        &["private key"],
        (64, 0),
        r"^(?s:.{0,64}?)(?P<v>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|.*))",
        Check::Form,
    ),
    form(
        "putty-private-key",
        &["putty-user-key-file"],
        (0, 0),
        r"^PuTTY-User-Key-File-[0-9]:(?s:.*?Private-MAC: ?[0-9a-f]+|.*)",
        Check::Form,
    ),
    form(
        "jwt",
        &["eyj"],
        (0, 8192),
        r"^eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){2,4}",
        Check::Jose,
    ),
    form(
        "slack-webhook",
        &["hooks.slack.com"],
        (0, 256),
        r"^hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
        Check::Form,
    ),
    form(
        "discord-webhook",
        &["/api/webhooks/"],
        (0, 256),
        r"^/api/webhooks/[0-9]{16,20}/[A-Za-z0-9_\-]{50,}",
        Check::Form,
    ),
    form(
        "teams-webhook",
        &["/webhookb2/"],
        (0, 512),
        r"^/webhookb2/[0-9a-fA-F\-]{36}@[0-9a-fA-F\-]{36}/IncomingWebhook/[0-9A-Za-z]{20,}/[0-9a-fA-F\-]{36}",
        Check::Form,
    ),
    form(
        "zapier-webhook",
        &["hooks.zapier.com"],
        (0, 128),
        r"^hooks\.zapier\.com/hooks/catch/[0-9]+/[a-z0-9]{6,}",
        Check::Form,
    ),
    form(
        "telegram-bot-token",
        &[":aa"],
        (11, 64),
        r"(?:^|[^0-9])(?P<v>[0-9]{8,10}:AA[A-Za-z0-9_\-]{33})",
        Check::Form,
    ),
    form(
        "braintree-token",
        &["access_token$"],
        (0, 128),
        r"^access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[0-9a-f]{32}",
        Check::Form,
    ),
    form(
        "salesforce-token",
        &["00d"],
        (0, 160),
        r"^00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}",
        Check::Form,
    ),
    form(
        "mailchimp-key",
        &["-us"],
        (33, 8),
        r"\b[0-9a-f]{32}-us[0-9]{1,2}\b",
        Check::Form,
    ),
    form(
        "terraform-cloud-token",
        &[".atlasv1."],
        (15, 128),
        r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,}",
        Check::Form,
    ),
    form(
        "onepassword-secret-key",
        &["a3-"],
        (0, 48),
        r"^A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
        Check::Form,
    ),
    form(
        "azure-client-secret",
        &["q~"],
        (4, 48),
        r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34}",
        Check::Form,
    ),
    form(
        "azure-storage-key",
        &["accountkey="],
        (0, 128),
        r"(?i)^accountkey=(?P<v>[A-Za-z0-9+/]{40,}={0,2})",
        Check::Form,
    ),
    form(
        "azure-shared-access-key",
        &["sharedaccesskey="],
        (0, 128),
        r"(?i)^sharedaccesskey=(?P<v>[A-Za-z0-9+/]{30,}={0,2})",
        Check::Form,
    ),
    form(
        "azure-sas-signature",
        &["sig="],
        (0, 160),
        r"(?i)^sig=(?P<v>[A-Za-z0-9%+/\-_]{40,}=?)",
        Check::Form,
    ),
    form(
        "presigned-url-signature",
        &["x-amz-signature=", "x-goog-signature="],
        (0, 640),
        r"(?i)^x-(?:amz|goog)-signature=(?P<v>[0-9a-f]{40,})",
        Check::Form,
    ),
    form(
        "harness-token",
        &["pat.", "sat."],
        (0, 96),
        r"^[ps]at\.[A-Za-z0-9_\-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}",
        Check::Form,
    ),
    form(
        "bootstrap-token",
        &["token", "join"],
        (0, 96),
        r#"(?i)^(?:token|join)[^\n]{0,40}?[\s=:"'](?P<v>[a-z0-9]{6}\.[a-z0-9]{16})\b"#,
        Check::Form,
    ),
    form(
        "bearer-token",
        &["bearer"],
        (0, 4096),
        r#"(?i)^bearer\s+(?P<v>[A-Za-z0-9._~+/=\-]{12,})"#,
        Check::Token,
    ),
    form(
        "basic-authorization",
        &["authorization"],
        (0, 1024),
        r#"(?i)^authorization["'\\]*\s*[:=]\s*["'\\]*basic\s+(?P<v>[A-Za-z0-9+/]{8,}={0,2})"#,
        Check::Form,
    ),
    form(
        "session-cookie",
        &["cookie:"],
        (0, 2048),
        r#"(?i)^cookie:\s*(?P<v>[^\s=;]{1,64}=[^\s"']{16,})"#,
        Check::NoPlaceholder,
    ),
    form(
        "url-with-password",
        &["://"],
        (0, 1024),
        r#"^://[^\s/:@"'<>?#]{0,256}:(?P<v>[^\s/@"'<>]{1,512})@"#,
        Check::NoPlaceholder,
    ),
    form(
        "jdbc-password",
        &["password="],
        (1, 160),
        r#"(?i)[;?&]password=(?P<v>[^\s;&"'<>]{1,128})"#,
        Check::NoPlaceholder,
    ),
    form(
        "netrc-password",
        &["machine"],
        (0, 300),
        r"^machine\s+\S{1,128}\s+login\s+\S{1,64}\s+password\s+(?P<v>\S{1,128})",
        Check::NoPlaceholder,
    ),
    form(
        "password-hash",
        &["$2a$", "$2b$", "$2y$", "$apr1$", "$5$", "$6$", "$argon2", "$y$"],
        (0, 256),
        r"^\$(?:2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}|apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|[56y]\$[^\s:$]{1,40}\$(?:[^\s:$]{1,40}\$)?[./A-Za-z0-9]{43,90}|argon2(?:id|i|d)\$[^\s:]{40,200})",
        Check::Form,
    ),
    form(
        "kubeconfig-key",
        &["client-key-data"],
        (0, 8192),
        r#"(?i)^client-key-data["'\\]*\s*[:=]\s*["'\\]*(?P<v>[A-Za-z0-9+/=]{24,})"#,
        Check::Form,
    ),
    form(
        "registry-auth",
        &["auth"],
        (2, 2048),
        r#"(?i)["']auth\\?["']\s*:\s*\\?["'](?P<v>[A-Za-z0-9+/]{12,}={0,2})\\?["']"#,
        Check::NoPlaceholder,
    ),
    form(
        "ansible-vault",
        &["$ansible_vault;"],
        (0, 0),
        r"^\$ANSIBLE_VAULT;[0-9.]+;AES256[^\n]{0,256}(?:\s+[0-9a-f]{20,})+",
        Check::Form,
    ),
    form(
        "wordpress-salt",
        &["_salt'", "_key'"],
        (0, 160),
        r"^_(?i:salt|key)'\s*,\s*'(?P<v>[^'\n]{40,80})'",
        Check::Form,
    ),
];
