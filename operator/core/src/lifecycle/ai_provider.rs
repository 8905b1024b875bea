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
