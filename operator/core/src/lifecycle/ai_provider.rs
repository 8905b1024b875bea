//! AIProvider: only the built-in rules work in this release; the others say so.

use kubechat_crds::AIProviderSpec;
use kubechat_crds::ai_provider::ProviderType;

use crate::reason;

/// Whether the provider is ready, and why not.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn verdict(spec: &AIProviderSpec) -> Result<&'static str, (&'static str, String)> {
    match spec.type_ {
        ProviderType::Rules => Ok("the built-in rules interpreter works offline"),
        ProviderType::Ollama
        | ProviderType::OpenAICompatible
        | ProviderType::Anthropic
        | ProviderType::Gemini => Err((
            reason::NOT_SUPPORTED,
            format!(
                "type {:?} is not supported in this version; nothing is sent to it. Turns that name it end Failed: use a provider of type Rules",
                spec.type_
            ),
        )),
    }
}

/// Whether turns of this namespace may use the provider.
#[must_use]
pub fn serves(spec: &AIProviderSpec, namespace: &str) -> bool {
    spec.allowed_namespaces.is_empty() || spec.allowed_namespaces.iter().any(|n| n == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_serves_the_namespaces_it_names_or_all() {
        let of = |names: &[&str]| AIProviderSpec {
            allowed_namespaces: names.iter().map(|n| (*n).to_owned()).collect(),
            ..AIProviderSpec::default()
        };
        for (names, served) in [
            (&[][..], true),
            (&["demo"], true),
            (&["other", "demo"], true),
            (&["other"], false),
            (&["dem", "demo-2", "*"], false),
        ] {
            assert_eq!(serves(&of(names), "demo"), served, "{names:?}");
        }
    }
}
