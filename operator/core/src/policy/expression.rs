//! Expressions of rules: read, checked and bounded before they are ever run.
//!
//! The interpreter (crate `cel`) has no budget of its own, so an expression is bounded by construction: its length, the
//! signs that make its tree deep, and what [`super::bounds`] finds: the depth of the tree, what it names, how deep its
//! loops nest, how large its values grow and what it costs with every list at its longest. What passes ends soon, whatever
//! the plan holds.
//!
//! The parser is one that the crate hides from its documentation, and may change in any release; hence the exact version
//! in the workspace's manifest. The one it shows has no bound on what its errors cost, and needs far more stack.
//!
//! **Invariant:** no text makes this module panic; what the interpreter should not survive is an error like any other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::parser::PrattParser;
use cel::{Context, Env, Value};
use regex::Regex;

use super::bounds::{self, Bounds};
use super::functions;

/// Characters of an expression at most.
pub const MAX_LENGTH: usize = 4096;
/// Signs that make the tree of an expression deeper, at most.
const MAX_SIGNS: usize = 800;
/// Conditional operators at most.
const MAX_CONDITIONALS: usize = 32;
/// Brackets open at once at most.
const MAX_BRACKETS: usize = 32;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct CelProblem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Which variables an expression reads that change from target to target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// `step`.
    pub(super) step: bool,
    /// `target`.
    pub(super) target: bool,
    /// `namespaceObject`.
    pub(super) namespace: bool,
}

/// An expression that may be run.
#[derive(Debug)]
pub(super) struct Program {
    tree: IdedExpr,
    /// What it reads.
    pub(super) uses: Uses,
    /// What a run costs at most.
    pub(super) cost: u64,
    /// The patterns it matches with, compiled.
    pub(super) patterns: BTreeMap<String, Regex>,
}

static ENV: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::default().with_optional_support(false).with_stdlib()));

/// A context without variables, with the functions that rules may call.
pub(super) fn context<'p, 'v>(patterns: &Arc<BTreeMap<String, Regex>>) -> Context<'p, 'v> {
    let mut context = Context::with_env(Arc::clone(&ENV));
    functions::add(&mut context, patterns);
    context
}

impl Program {
    /// Reads and checks an expression.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its position.
    pub(super) fn compile(source: &str) -> Result<Self, CelProblem> {
        within_bounds(source)?;
        let parsed = catch_unwind(|| PrattParser::new().max_recursion_depth(64).parse(source));
        let tree = match parsed {
            Ok(Ok(tree)) => tree,
            Ok(Err(errors)) => {
                let first = errors.errors.first();
                let (line, column) = first.map_or((1, 1), |e| e.pos);
                let at = |n: isize| usize::try_from(n).unwrap_or(1).max(1);
                return Err(CelProblem {
                    line: at(line),
                    column: at(column),
                    message: first.map_or_else(|| "cannot be read".to_owned(), |e| e.msg.clone()),
                });
            }
            Err(_) => return Err(problem(source, 0, "cannot be read")),
        };
        let Bounds { cost, uses, patterns } = bounds::of(&tree, source)?;
        Ok(Self {
            tree,
            uses,
            cost,
            patterns,
        })
    }

    /// Runs it.
    ///
    /// # Errors
    /// Why it gave neither true nor false.
    pub(super) fn run(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match catch_unwind(AssertUnwindSafe(|| Value::resolve(&self.tree, context))) {
            Ok(Ok(Value::Bool(yes))) => Ok(yes),
            Ok(Ok(other)) => Err(format!("it gives a {}, not true or false", other.type_of())),
            Ok(Err(error)) => Err(kubechat_crds::condition::clip(error.to_string(), 300)),
            Err(_) => Err("the interpreter failed".to_owned()),
        }
    }
}

pub(super) fn problem(source: &str, offset: usize, message: impl Into<String>) -> CelProblem {
    let before = source.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    CelProblem {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        message: message.into(),
    }
}

/// Bounds on the text itself, so that reading it cannot use up the stack. Strings count like the rest: what is code and
/// what is text is known only after reading.
fn within_bounds(source: &str) -> Result<(), CelProblem> {
    if source.trim().is_empty() {
        return Err(problem(source, 0, "is empty"));
    }
    if source.chars().count() > MAX_LENGTH {
        return Err(problem(
            source,
            0,
            format!("is longer than {MAX_LENGTH} characters"),
        ));
    }
    let (mut signs, mut conditionals, mut open) = (0_usize, 0_usize, 0_usize);
    for (offset, c) in source.char_indices() {
        match c {
            '(' | '[' | '{' => {
                open += 1;
                signs += 1;
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => conditionals += 1,
            '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '.' => signs += 1,
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(problem(
                source,
                offset,
                format!("nests deeper than {MAX_BRACKETS} brackets"),
            ));
        }
        if signs > MAX_SIGNS || conditionals > MAX_CONDITIONALS {
            return Err(problem(
                source,
                offset,
                "is too long from here on: split it into several rules",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
