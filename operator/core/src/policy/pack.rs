//! A pack made ready: its rules and freezes are compiled once and shared by all who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use kubechat_crds::command_plan::PolicyRecord;
use kubechat_crds::risk_policy::PolicyRule;
use kubechat_crds::{RiskPolicy, RiskPolicySpec};
use regex::Regex;

use super::check;
use super::expression::Program;
use super::freeze::Window;

/// Compiled packs kept; a cluster has a handful.
const KEPT: usize = 128;

/// What was compiled last, by spec. A cache only: the same spec always compiles to the same, whoever asks. It goes by
/// the spec itself and not by UID and generation, which a restored cluster can give a second time to another spec.
static COMPILED: LazyLock<Mutex<Vec<Arc<Compiled>>>> = LazyLock::new(|| Mutex::new(vec![]));

/// A rule and its expression.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) rule: PolicyRule,
    pub(super) program: Program,
}

/// The compiled spec of a pack.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The spec.
    pub(super) spec: RiskPolicySpec,
    /// `sha256:..` of the spec.
    hash: String,
    /// Its rules, in order.
    pub(super) rules: Vec<Rule>,
    /// Its freezes, in order.
    pub(super) freezes: Vec<Window>,
    /// All patterns of its rules.
    pub(super) patterns: Arc<BTreeMap<String, Regex>>,
}

/// A pack of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Pack {
    pub(super) name: String,
    uid: String,
    generation: i64,
    pub(super) compiled: Arc<Compiled>,
}

impl Pack {
    /// Compiles a pack, or finds it compiled.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn new(policy: &RiskPolicy) -> Result<Self, Vec<String>> {
        Ok(Self {
            name: policy.metadata.name.clone().unwrap_or_default(),
            uid: policy.metadata.uid.clone().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
            compiled: compiled(&policy.spec)?,
        })
    }

    /// The pack's spec.
    pub(super) fn spec(&self) -> &RiskPolicySpec {
        &self.compiled.spec
    }

    /// The pack as a plan records it.
    pub(super) fn record(&self, rule: Option<String>, effect: &str) -> PolicyRecord {
        PolicyRecord {
            name: self.name.clone(),
            uid: self.uid.clone(),
            generation: self.generation,
            hash: self.compiled.hash.clone(),
            rule,
            effect: effect.to_owned(),
        }
    }
}

fn compiled(spec: &RiskPolicySpec) -> Result<Arc<Compiled>, Vec<String>> {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept.iter().find(|c| c.spec == *spec) {
        return Ok(Arc::clone(found));
    }
    drop(kept);
    let made = Arc::new(compile(spec)?);
    kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push(Arc::clone(&made));
    Ok(made)
}

fn compile(spec: &RiskPolicySpec) -> Result<Compiled, Vec<String>> {
    let mut problems: Vec<String> = check::unsupported(spec)
        .into_iter()
        .map(|f| format!("{f} is not supported yet"))
        .collect();
    problems.extend(check::invalid(spec));
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut rules = vec![];
    for rule in &spec.rules {
        let program = Program::compile(&rule.when).map_err(|p| vec![p.to_string()])?;
        rules.push(Rule {
            rule: rule.clone(),
            program,
        });
    }
    let freezes = spec
        .freezes
        .iter()
        .map(Window::compile)
        .collect::<Result<_, _>>()
        .map_err(|p| vec![p])?;
    let patterns = rules.iter().flat_map(|r| r.program.patterns.clone()).collect();
    let patterns = Arc::new(patterns);
    Ok(Compiled {
        hash: kubechat_crds::digest::digest_of(spec)
            .map(|d| d.to_string())
            .unwrap_or_default(),
        spec: spec.clone(),
        rules,
        freezes,
        patterns,
    })
}
