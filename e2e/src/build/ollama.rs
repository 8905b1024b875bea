//! A real Ollama with a real small model. Built only where its test runs: llama.cpp takes minutes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Cache, Module, Target};
use crate::progress::Progress;

/// Names the file with the model's weights (`scripts/weights` prints it).
pub const WEIGHTS_VARIABLE: &str = "KUBECHAT_WEIGHTS";

const OLLAMA: [Target; 1] = [Target {
    program: "ollama",
    package: "github.com/ollama/ollama",
    expected: "6 min",
}];

/// Where Ollama and the weights are.
#[derive(Clone, Debug)]
pub struct OllamaBinaries {
    /// The program.
    pub program: PathBuf,
    /// The model's weights.
    pub weights: PathBuf,
}

impl OllamaBinaries {
    /// Finds Ollama, building it if it is missing, and the weights.
    ///
    /// # Errors
    /// When Go, a C++ compiler or the weights are missing, or the build fails.
    pub async fn ensure(progress: &Progress) -> Result<Self> {
        let weights = std::env::var_os(WEIGHTS_VARIABLE).map(PathBuf::from);
        let weights = weights.filter(|file| file.is_file()).with_context(|| {
            format!("{WEIGHTS_VARIABLE} names no file; run `make e2e-ollama`, which fetches the weights")
        })?;
        let cache = Cache::locate()?;
        let module = Module::read("ollama", &OLLAMA)?.with_c(c_flags());
        let built = module.ensure(&cache, progress).await?;
        Ok(Self {
            program: built.join("ollama"),
            weights: absolute(&weights)?,
        })
    }
}

fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).with_context(|| format!("{} is no path", file.display()))
}

/// What this machine's processor can do: without it a token takes ten times as long.
fn c_flags() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
    {
        return "-O3 -mavx2 -mfma -mf16c";
    }
    "-O3"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_module_names_ollama_and_its_key_holds_how_it_is_compiled() {
        let read = || Module::read("ollama", &OLLAMA).unwrap();
        assert!(read().go_mod.contains(&format!("tool {}\n", OLLAMA[0].package)));
        let key = |module: Module| module.key("-s -w");
        assert_ne!(key(read()), key(read().with_c("-O3")));
        assert_ne!(key(read().with_c("-O2")), key(read().with_c("-O3")));
    }
}
