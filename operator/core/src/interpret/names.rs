//! Which texts can be names, labels, images and quantities in Kubernetes. The API server judges again; these
//! checks give a clear answer before anything is planned.

/// RFC 1123 label: a namespace, a container.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// RFC 1123 subdomain: the name of nearly every object.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Names of RBAC objects may hold colons and capitals (`system:node`).
fn is_path_segment(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(ok) && !matches!(text, "." | "..")
}

/// Says what is wrong with an object's name, if anything is.
pub(super) fn object_problem(name: &str, kind: Option<&str>) -> Option<String> {
    let rbac = matches!(
        kind,
        Some("Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding")
    );
    if is_subdomain(name) || (rbac && is_path_segment(name)) {
        return None;
    }
    let why = if name.is_empty() || name.len() > 253 {
        "it must have 1 to 253 characters"
    } else if is_subdomain(&name.to_lowercase()) {
        "capital letters are not allowed"
    } else if !name.is_ascii() {
        "it holds letters outside a-z"
    } else if name.contains(char::is_whitespace) {
        "it holds blanks"
    } else {
        "only a-z, 0-9, '-' and '.' are allowed, with a letter or digit at both ends of each part"
    };
    Some(format!("{} is not a valid Kubernetes name: {why}", shown(name)))
}

/// Text of the prompt for a message: in quotes, short, without anything a terminal would act on.
pub(super) fn shown(text: &str) -> String {
    let short: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let more = if text.chars().count() > 60 { "..." } else { "" };
    format!("'{short}{more}'")
}

/// Letters, digits, `-`, `_`, `.`, at most 63, alphanumeric at both ends.
fn is_label_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

/// A label or annotation key: `tier`, `app.kubernetes.io/name`.
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_text(name),
        None => is_label_text(text),
    }
}

/// A key of a ConfigMap, or of a quota (`requests.cpu`, `count/jobs.batch`).
pub(super) fn is_data_key(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
}

/// A label value; may be empty.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_text(text)
}

/// Whether text has the form of an image reference with a part that only images have (tag, digest or path).
pub(super) fn looks_like_image(text: &str) -> bool {
    text.contains([':', '/', '@']) && is_image(text)
}

/// Whether text can be an image reference: `nginx`, `registry:5000/team/web:1.2@sha256:...`.
pub(super) fn is_image(text: &str) -> bool {
    let (rest, digest) = text
        .split_once('@')
        .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let hex = |d: &str| {
        d.strip_prefix("sha256:")
            .is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if text.len() > 512 || digest.is_some_and(|d| !hex(d)) {
        return false;
    }
    let last = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest.get(last..).and_then(|tail| tail.find(':')) {
        Some(at) => (
            rest.get(..last + at).unwrap_or_default(),
            rest.get(last + at + 1..),
        ),
        None => (rest, None),
    };
    let part = |p: &str| {
        let host = p.split_once(':').map_or(p, |(h, port)| {
            if port.bytes().all(|b| b.is_ascii_digit()) {
                h
            } else {
                ""
            }
        });
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
            && host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    path.split('/').all(part) && tag.is_none_or(is_tag)
}

/// A bare image tag.
pub(super) fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// A tag that nobody would take for anything else: `1.28`, `v2`, `1.28-alpine`, `latest`.
pub(super) fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let number = digits.starts_with(|c: char| c.is_ascii_digit());
    is_tag(text) && (text == "latest" || (number && (digits.len() < text.len() || text.contains(['.', '-']))))
}

/// One requirement of a selector: `a=b`, `a==b`, `a!=b`.
pub(super) fn requirement(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    let key = key.strip_suffix('!').unwrap_or(key);
    let value = value.strip_prefix('=').unwrap_or(value);
    (is_key(key) && is_label_value(value)).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_wrong_with_a_name() {
        let cases = [
            ("web", None, true),
            ("web-1.example", None, true),
            ("Web", None, false),
            ("web_1", None, false),
            ("-web", None, false),
            ("wéb", None, false),
            ("", None, false),
            ("system:node", Some("ClusterRole"), true),
            ("system:node", Some("Pod"), false),
        ];
        for (name, kind, fine) in cases {
            assert_eq!(object_problem(name, kind).is_none(), fine, "{name}");
        }
    }

    #[test]
    fn knows_images_tags_and_versions() {
        for image in [
            "nginx",
            "nginx:1.28",
            "registry.local:5000/team/web:v1",
            "a/b@sha256:",
        ] {
            assert_eq!(is_image(image), !image.ends_with(':'), "{image}");
        }
        for (text, version) in [
            ("1.28", true),
            ("v2", true),
            ("5", false),
            ("latest", true),
            ("prod", false),
        ] {
            assert_eq!(is_version(text), version, "{text}");
        }
        assert!(!looks_like_image("nginx"));
        assert!(!is_image("Nginx:1"));
        assert!(!is_image("nginx:1 2"));
    }
}
