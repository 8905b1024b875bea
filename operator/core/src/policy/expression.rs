//! Expressions of rules: read, checked and bounded before they are ever run.
//!
//! The interpreter (crate `cel`) has no budget of its own, so an expression is bounded by construction: its length, the
//! signs that make its tree deep, the depth of the tree, what it names, how deep its loops nest, and what it can cost
//! at most with every list at its longest ([`MAX_COST`]). What passes ends soon, whatever the plan holds.
//!
//! **Invariant:** no text makes this module panic; what the interpreter should not survive is an error like any other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::parser::PrattParser;
use cel::{Context, Env, Value};
use regex::Regex;

use super::{functions, vars};

/// Characters of an expression at most.
pub const MAX_LENGTH: usize = 4096;
/// Signs that make the tree of an expression deeper, at most.
const MAX_SIGNS: usize = 800;
/// Conditional operators at most.
const MAX_CONDITIONALS: usize = 32;
/// Brackets open at once at most.
const MAX_BRACKETS: usize = 32;
/// Depth of the tree at most.
const MAX_DEPTH: usize = 48;
/// Loops within loops at most.
const MAX_LOOPS: usize = 3;
/// What one run may cost at most, in steps of the interpreter (some 50 ns each).
pub const MAX_COST: u64 = 250_000;
/// Bytes of a compiled pattern at most.
const MAX_PATTERN: usize = 64 * 1024;

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
        let mut check = Check {
            source,
            uses: Uses::default(),
            patterns: BTreeMap::new(),
            bound: longest(&tree, source),
            scope: vec![],
            loops: 0,
        };
        let cost = check.cost(&tree, 0)?;
        if cost > MAX_COST {
            return Err(problem(
                source,
                0,
                format!(
                    "costs too much: up to {cost} steps a run, the limit is {MAX_COST}. Loop over less, or not within a loop"
                ),
            ));
        }
        let Check { uses, patterns, .. } = check;
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

fn problem(source: &str, offset: usize, message: impl Into<String>) -> CelProblem {
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

/// The longest list that an expression can make out of those it is given: each `+` may join two of them.
fn longest(tree: &IdedExpr, source: &str) -> u64 {
    let joins = u64::try_from(source.matches('+').count()).unwrap_or(u64::MAX);
    let given = vars::MAX_LIST.saturating_mul(joins.saturating_add(1));
    given.max(literal_length(tree, 0))
}

fn literal_length(tree: &IdedExpr, depth: usize) -> u64 {
    if depth > MAX_DEPTH * 4 {
        return u64::MAX;
    }
    let below = |e: &IdedExpr| literal_length(e, depth + 1);
    match &tree.expr {
        Expr::List(list) => list
            .elements
            .iter()
            .map(below)
            .chain([u64::try_from(list.elements.len()).unwrap_or(u64::MAX)])
            .max()
            .unwrap_or(0),
        Expr::Map(map) => map
            .entries
            .iter()
            .filter_map(|e| match &e.expr {
                EntryExpr::MapEntry(entry) => Some(below(&entry.key).max(below(&entry.value))),
                EntryExpr::StructField(_) => None,
            })
            .chain([u64::try_from(map.entries.len()).unwrap_or(u64::MAX)])
            .max()
            .unwrap_or(0),
        Expr::Call(call) => call
            .args
            .iter()
            .chain(call.target.as_deref())
            .map(below)
            .max()
            .unwrap_or(0),
        Expr::Comprehension(c) => [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
            .into_iter()
            .map(below)
            .max()
            .unwrap_or(0),
        Expr::Select(select) => below(&select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

struct Check<'s> {
    source: &'s str,
    uses: Uses,
    patterns: BTreeMap<String, Regex>,
    /// How long a list can be that is not one of the variables' own.
    bound: u64,
    /// Variables of the loops around.
    scope: Vec<String>,
    loops: usize,
}

impl Check<'_> {
    /// What the tree costs at most; refuses what it may not hold.
    fn cost(&mut self, tree: &IdedExpr, depth: usize) -> Result<u64, CelProblem> {
        if depth > MAX_DEPTH {
            return Err(problem(
                self.source,
                0,
                format!("its tree is deeper than {MAX_DEPTH}: use brackets less, or split it"),
            ));
        }
        match &tree.expr {
            Expr::Literal(_) => Ok(1),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => {
                self.field(&select.operand, &select.field)?;
                Ok(self.cost(&select.operand, depth + 1)?.saturating_add(1))
            }
            Expr::List(list) => self.sum(list.elements.iter(), depth),
            Expr::Map(map) => {
                let mut cost = 1_u64;
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(e) => {
                            cost = cost.saturating_add(self.sum([&e.key, &e.value].into_iter(), depth)?);
                        }
                        EntryExpr::StructField(_) => return Err(self.at("{", "messages cannot be made here")),
                    }
                }
                Ok(cost)
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(c) => self.comprehension(c, depth),
            Expr::Struct(made) => Err(self.at(&made.type_name, "messages cannot be made here")),
            Expr::Unspecified => Err(problem(self.source, 0, "a part of it cannot be read")),
        }
    }

    fn sum<'t>(
        &mut self,
        trees: impl Iterator<Item = &'t IdedExpr>,
        depth: usize,
    ) -> Result<u64, CelProblem> {
        let mut cost = 1_u64;
        for tree in trees {
            cost = cost.saturating_add(self.cost(tree, depth + 1)?);
        }
        Ok(cost)
    }

    fn ident(&mut self, name: &str) -> Result<u64, CelProblem> {
        if self.scope.iter().any(|s| s == name) {
            return Ok(1);
        }
        match name {
            "step" => self.uses.step = true,
            "target" => self.uses.target = true,
            "namespaceObject" => self.uses.namespace = true,
            "plan" | "requester" | "now" => {}
            _ => {
                let known = vars::NAMES.join(", ");
                return Err(self.at(name, format!("{name} is not known here; there are {known}")));
            }
        }
        Ok(1)
    }

    /// A field that a variable does not have is a mistake that would make every plan an error, or `has()` never true.
    fn field(&self, operand: &IdedExpr, field: &str) -> Result<(), CelProblem> {
        let path = match &operand.expr {
            Expr::Ident(name) if !self.scope.contains(name) => name.clone(),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if !self.scope.contains(name) => format!("{name}.{}", select.field),
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        match vars::fields(&path) {
            Some(fields) if !fields.contains(&field) => Err(self.at(
                field,
                format!("{path} has no field {field}; there are {}", fields.join(", ")),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn call(&mut self, call: &cel::common::ast::CallExpr, depth: usize) -> Result<u64, CelProblem> {
        let name = call.func_name.as_str();
        if !functions::known(name) {
            return Err(self.at(name, format!("there is no function {name} here")));
        }
        if name == functions::MATCHES {
            self.pattern(call.args.last())?;
        }
        let parts = self.sum(call.args.iter().chain(call.target.as_deref()), depth)?;
        let own = match name {
            // Looks through a list, or compares two of them.
            operators::IN | operators::EQUALS | operators::NOT_EQUALS | operators::ADD => {
                if call.args.iter().any(|a| matches!(a.expr, Expr::Literal(_))) && name != operators::IN {
                    2
                } else {
                    self.bound.min(vars::MAX_LIST) / 4
                }
            }
            functions::MATCHES => 40,
            _ => 2,
        };
        Ok(parts.saturating_add(own))
    }

    /// A pattern is a literal, so that it is compiled once and its faults are known at admission.
    fn pattern(&mut self, pattern: Option<&IdedExpr>) -> Result<(), CelProblem> {
        let Some(Expr::Literal(LiteralValue::String(text))) = pattern.map(|p| &p.expr) else {
            return Err(self.at(
                functions::MATCHES,
                "the pattern of matches() must be written out as a string",
            ));
        };
        let text = text.inner().to_string();
        let compiled = regex::RegexBuilder::new(&text)
            .size_limit(MAX_PATTERN)
            .dfa_size_limit(MAX_PATTERN)
            .build()
            .map_err(|e| {
                let why = e.to_string().replace('\n', " ");
                self.at(functions::MATCHES, format!("the pattern cannot be used: {why}"))
            })?;
        self.patterns.insert(text, compiled);
        Ok(())
    }

    fn comprehension(
        &mut self,
        c: &cel::common::ast::ComprehensionExpr,
        depth: usize,
    ) -> Result<u64, CelProblem> {
        if self.loops >= MAX_LOOPS {
            return Err(problem(
                self.source,
                0,
                format!("loops nest deeper than {MAX_LOOPS} (all, exists, exists_one, map, filter)"),
            ));
        }
        for name in [Some(&c.iter_var), c.iter_var2.as_ref()].into_iter().flatten() {
            if vars::NAMES.contains(&name.as_str()) {
                return Err(self.at(name, format!("a loop's variable cannot be called {name}")));
            }
        }
        let range = self.cost(&c.iter_range, depth + 1)?;
        let init = self.cost(&c.accu_init, depth + 1)?;
        let rounds = self.rounds(&c.iter_range);
        let outer = self.scope.len();
        self.scope.push(c.accu_var.clone());
        self.scope.push(c.iter_var.clone());
        self.scope.extend(c.iter_var2.clone());
        self.loops += 1;
        let body = self
            .cost(&c.loop_cond, depth + 1)?
            .saturating_add(self.cost(&c.loop_step, depth + 1)?);
        self.loops -= 1;
        let result = self.cost(&c.result, depth + 1)?;
        self.scope.truncate(outer);
        // A list that grows is copied as it grows.
        let copied = if matches!(c.accu_init.expr, Expr::List(_)) {
            rounds.saturating_mul(rounds) / 8
        } else {
            0
        };
        Ok(range
            .saturating_add(init)
            .saturating_add(result)
            .saturating_add(copied)
            .saturating_add(rounds.saturating_mul(body)))
    }

    /// How often a loop over this goes round at most.
    fn rounds(&self, range: &IdedExpr) -> u64 {
        match &range.expr {
            Expr::List(list) => u64::try_from(list.elements.len()).unwrap_or(u64::MAX),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(root) if !self.scope.contains(root) => {
                    vars::longest(root, &select.field).min(self.bound)
                }
                _ => self.bound,
            },
            _ => self.bound,
        }
    }

    /// A problem at the first place where this word stands.
    fn at(&self, word: &str, message: impl Into<String>) -> CelProblem {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let whole = |at: usize| {
            let before = self.source.get(..at).and_then(|s| s.chars().next_back());
            let after = self.source.get(at + word.len()..).and_then(|s| s.chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        };
        let offset = if word.is_empty() {
            0
        } else {
            self.source
                .match_indices(word)
                .map(|(at, _)| at)
                .find(|at| whole(*at))
                .unwrap_or(0)
        };
        problem(self.source, offset, message)
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
