//! What an expression names, how large its values can grow and what it can cost, found before it is ever run.
//!
//! Each part of the tree gets a [`Shape`]: the most its value can hold, from what [`vars::most`] says of the variables.
//! Values are trees that the interpreter copies, so a list in which the same list stands twice is twice as large, and
//! doubling a few dozen times would use up all memory: what can grow beyond [`MAX_VALUES`] or [`MAX_TEXT`] is refused, and
//! so is what can cost more than [`MAX_COST`].
//!
//! **Invariant:** a bound is never below what the plan can make of it; where the kind of a value is open, the worst counts.

use std::collections::BTreeMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::Regex;

use super::expression::{CelProblem, Uses, problem};
use super::{functions, pattern, vars};

/// What one run may cost at most, in steps: a value looked at or copied, some tens of ns at worst. What the costliest rules
/// take on the largest plan is measured by `kubechat-bench` (B25).
pub const MAX_COST: u64 = 300_000;
/// Values within one value at most.
const MAX_VALUES: u64 = 64 * 1024;
/// Bytes of text within one value at most.
const MAX_TEXT: u64 = 2 * 1024 * 1024;
/// Depth of the tree at most.
const MAX_DEPTH: usize = 48;
/// Loops within loops at most.
const MAX_LOOPS: usize = 3;
/// Bytes of text that are compared, or copied, in one step.
const TEXT_A_STEP: u64 = 1024;
/// Bytes of text that are searched in one step.
const SEARCHED_A_STEP: u64 = 32;

/// What was found.
#[derive(Debug)]
pub(super) struct Bounds {
    /// What a run costs at most.
    pub(super) cost: u64,
    /// What it reads.
    pub(super) uses: Uses,
    /// The patterns it matches with, compiled.
    pub(super) patterns: BTreeMap<String, Regex>,
}

/// The bounds of an expression.
///
/// # Errors
/// What it may not hold, with its position.
pub(super) fn of(tree: &IdedExpr, source: &str) -> Result<Bounds, CelProblem> {
    let mut check = Check {
        source,
        uses: Uses::default(),
        patterns: BTreeMap::new(),
        scope: vec![],
        loops: 0,
    };
    let cost = check.look(tree, 0)?.cost;
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
    Ok(Bounds { cost, uses, patterns })
}

/// The most that a value can be.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Entries of a list or map.
    pub(super) len: u64,
    /// Entries of any list or map in it.
    pub(super) inner: u64,
    /// Values in it at any depth, and itself.
    pub(super) values: u64,
    /// Bytes of text in it.
    pub(super) text: u64,
    /// Where it stands in the variables, if it stands there.
    pub(super) path: Option<String>,
}

impl Shape {
    /// A number, a truth, a time.
    fn plain() -> Self {
        Self::of_text(0)
    }

    fn of_text(bytes: usize) -> Self {
        Self {
            values: 1,
            text: count(bytes),
            ..Self::default()
        }
    }

    fn at(path: String) -> Option<Self> {
        let most = vars::most(&path)?;
        Some(Self {
            path: Some(path),
            ..most
        })
    }

    /// A field, or an entry, or a key.
    fn part(&self, name: &str) -> Self {
        let known = self
            .path
            .as_ref()
            .and_then(|path| Self::at(format!("{path}{name}")));
        known.unwrap_or(Self {
            len: self.inner,
            path: None,
            ..self.clone()
        })
    }

    /// One of the two.
    fn or(&self, other: &Self) -> Self {
        Self {
            len: self.len.max(other.len),
            inner: self.inner.max(other.inner),
            values: self.values.max(other.values),
            text: self.text.max(other.text),
            path: None,
        }
    }

    /// Both in one.
    fn and(&self, other: &Self) -> Self {
        Self {
            len: self.len.saturating_add(other.len),
            inner: self.inner.max(other.inner),
            values: self.values.saturating_add(other.values),
            text: self.text.saturating_add(other.text),
            path: None,
        }
    }

    /// So many of it in a list.
    fn times(&self, n: u64) -> Self {
        Self {
            len: n,
            inner: self.len.max(self.inner),
            values: n.saturating_mul(self.values).saturating_add(1),
            text: n.saturating_mul(self.text),
            path: None,
        }
    }

    /// What copying it costs.
    fn copied(&self) -> u64 {
        self.values.saturating_add(self.text / TEXT_A_STEP)
    }

    /// What comparing it with another costs.
    fn compared(&self, other: &Self) -> u64 {
        let text = self.text.min(other.text) / TEXT_A_STEP;
        self.values.min(other.values).saturating_add(text)
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A part of the tree that was looked at.
struct Seen {
    cost: u64,
    shape: Shape,
}

impl Seen {
    fn new(cost: u64, shape: Shape) -> Self {
        Self { cost, shape }
    }
}

struct Check<'s> {
    source: &'s str,
    uses: Uses,
    patterns: BTreeMap<String, Regex>,
    /// Variables of the loops around.
    scope: Vec<(String, Shape)>,
    loops: usize,
}

impl Check<'_> {
    /// What the tree is and costs at most; refuses what it may not hold.
    fn look(&mut self, tree: &IdedExpr, depth: usize) -> Result<Seen, CelProblem> {
        if depth > MAX_DEPTH {
            return Err(self.whole(format!(
                "its tree is deeper than {MAX_DEPTH}: use brackets less, or split it"
            )));
        }
        let seen = match &tree.expr {
            Expr::Literal(LiteralValue::String(text)) => Seen::new(1, Shape::of_text(text.inner().len())),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Seen::new(1, Shape::of_text(bytes.inner().len())),
            Expr::Literal(_) => Seen::new(1, Shape::plain()),
            Expr::Ident(name) => self.ident(name)?,
            Expr::Select(select) => {
                let operand = self.look(&select.operand, depth + 1)?;
                self.field(&operand.shape, &select.field)?;
                let shape = if select.test {
                    Shape::plain()
                } else {
                    operand.shape.part(&format!(".{}", select.field))
                };
                Seen::new(operand.cost.saturating_add(1), shape)
            }
            Expr::List(list) => self.made(list.elements.iter().map(|e| (None, e)), depth)?,
            Expr::Map(map) => {
                let mut entries = vec![];
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => entries.push((Some(&entry.key), &entry.value)),
                        EntryExpr::StructField(_) => return Err(self.at("{", "messages cannot be made here")),
                    }
                }
                self.made(entries.into_iter(), depth)?
            }
            Expr::Call(call) => self.call(call, depth)?,
            Expr::Comprehension(c) => self.comprehension(c, depth)?,
            Expr::Struct(made) => return Err(self.at(&made.type_name, "messages cannot be made here")),
            Expr::Unspecified => return Err(self.whole("a part of it cannot be read")),
        };
        if seen.shape.values > MAX_VALUES || seen.shape.text > MAX_TEXT {
            return Err(self.whole(format!(
                "a value in it can grow too large: to {} values and {} bytes of text, the limits are {MAX_VALUES} and {MAX_TEXT}. Join less, and not what was joined before",
                seen.shape.values, seen.shape.text
            )));
        }
        Ok(seen)
    }

    /// A list, or a map with keys.
    fn made<'t>(
        &mut self,
        entries: impl Iterator<Item = (Option<&'t IdedExpr>, &'t IdedExpr)>,
        depth: usize,
    ) -> Result<Seen, CelProblem> {
        let mut all = Seen::new(1, Shape::plain());
        for (key, value) in entries {
            all.shape.len += 1;
            for part in key.into_iter().chain([value]) {
                let seen = self.look(part, depth + 1)?;
                let copied = seen.shape.copied();
                let inner = all.shape.inner.max(seen.shape.len).max(seen.shape.inner);
                let len = all.shape.len;
                all.cost = all.cost.saturating_add(seen.cost).saturating_add(copied);
                all.shape = Shape {
                    len,
                    inner,
                    ..all.shape.and(&seen.shape)
                };
            }
        }
        Ok(all)
    }

    fn ident(&mut self, name: &str) -> Result<Seen, CelProblem> {
        if let Some((_, shape)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(Seen::new(1, shape.clone()));
        }
        match name {
            "step" => self.uses.step = true,
            "target" => self.uses.target = true,
            "namespaceObject" => self.uses.namespace = true,
            _ => {}
        }
        let known = vars::NAMES.join(", ");
        let shape = Shape::at(name.to_owned()).filter(|_| vars::NAMES.contains(&name));
        shape
            .map(|shape| Seen::new(1, shape))
            .ok_or_else(|| self.at(name, format!("{name} is not known here; there are {known}")))
    }

    /// A field that a variable does not have is a mistake that would make every plan an error, or `has()` never true.
    fn field(&self, of: &Shape, field: &str) -> Result<(), CelProblem> {
        let Some(path) = &of.path else { return Ok(()) };
        match vars::fields(path) {
            Some(fields) if !fields.contains(&field) => Err(self.at(
                field,
                format!("{path} has no field {field}; there are {}", fields.join(", ")),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn call(&mut self, call: &CallExpr, depth: usize) -> Result<Seen, CelProblem> {
        let name = call.func_name.as_str();
        if !functions::known(name) {
            return Err(self.at(name, format!("there is no function {name} here")));
        }
        let width = if name == functions::MATCHES {
            self.pattern(call.args.last())?
        } else {
            0
        };
        let mut cost = 0_u64;
        let mut shapes = vec![];
        for part in call.target.as_deref().into_iter().chain(&call.args) {
            let seen = self.look(part, depth + 1)?;
            cost = cost.saturating_add(seen.cost);
            shapes.push(seen.shape);
        }
        let none = Shape::plain();
        let first = shapes.first().unwrap_or(&none);
        let second = shapes.get(1).unwrap_or(&none);
        let number = |e: &IdedExpr| matches!(&e.expr, Expr::Literal(l) if !matches!(l, LiteralValue::String(_) | LiteralValue::Bytes(_)));
        let (own, shape) = match name {
            // What is added to a number is a number, or an error.
            operators::ADD if call.args.iter().any(number) => (2, Shape::plain()),
            operators::ADD => {
                let joined = first.and(second);
                (joined.copied().saturating_add(2), joined)
            }
            operators::EQUALS | operators::NOT_EQUALS => {
                (first.compared(second).saturating_add(2), none.clone())
            }
            operators::IN => {
                let each = Shape {
                    values: second.len.saturating_mul(first.values),
                    text: second.len.saturating_mul(first.text),
                    ..Shape::default()
                };
                let looked = second.len.saturating_add(second.compared(&each));
                (looked.saturating_add(2), none.clone())
            }
            operators::INDEX => (2, first.part("[]")),
            operators::CONDITIONAL => (2, second.or(shapes.get(2).unwrap_or(&none))),
            "string" => (
                first.copied().saturating_add(4),
                Shape {
                    values: 1,
                    text: first.text.max(64),
                    ..Shape::default()
                },
            ),
            "contains" | "size" => (
                2 + (first.text.saturating_add(second.text)) / SEARCHED_A_STEP,
                none.clone(),
            ),
            functions::MATCHES => (pattern::cost(first.text, width), none.clone()),
            _ if functions::is_own(name) => {
                let given: u64 = shapes.iter().map(Shape::copied).fold(0, u64::saturating_add);
                (given.saturating_add(functions::OWN_COST), none.clone())
            }
            _ => (2_u64.saturating_add(first.compared(second)), none.clone()),
        };
        Ok(Seen::new(cost.saturating_add(own), shape))
    }

    /// A pattern is a literal, so that it is compiled once and its faults are known at admission. Returns its width.
    fn pattern(&mut self, literal: Option<&IdedExpr>) -> Result<u64, CelProblem> {
        let Some(Expr::Literal(LiteralValue::String(text))) = literal.map(|p| &p.expr) else {
            return Err(self.at(
                functions::MATCHES,
                "the pattern of matches() must be written out as a string",
            ));
        };
        let text = text.inner().to_string();
        let (compiled, width) = pattern::compile(&text)
            .map_err(|why| self.at(functions::MATCHES, format!("the pattern cannot be used: {why}")))?;
        self.patterns.insert(text, compiled);
        Ok(width)
    }

    /// A loop, as the macros make it: all, exists and exists_one keep a truth or a number, map and filter a list to which
    /// each round adds at most one entry.
    fn comprehension(&mut self, c: &ComprehensionExpr, depth: usize) -> Result<Seen, CelProblem> {
        if self.loops >= MAX_LOOPS {
            return Err(self.whole(format!(
                "loops nest deeper than {MAX_LOOPS} (all, exists, exists_one, map, filter)"
            )));
        }
        for name in [Some(&c.iter_var), c.iter_var2.as_ref()].into_iter().flatten() {
            if vars::NAMES.contains(&name.as_str()) {
                return Err(self.at(name, format!("a loop's variable cannot be called {name}")));
            }
        }
        let range = self.look(&c.iter_range, depth + 1)?;
        let rounds = range.shape.len;
        let item = range.shape.part("[]");
        let outer = self.scope.len();
        self.scope.push((c.iter_var.clone(), item.clone()));
        self.scope.extend(c.iter_var2.clone().map(|name| (name, item)));
        self.loops += 1;
        let (round, shape) = match &c.accu_init.expr {
            Expr::List(list) if list.elements.is_empty() => self.growing(c, &range.shape, depth)?,
            Expr::Literal(_) => {
                self.scope.push((c.accu_var.clone(), Shape::plain()));
                let mut round = 0_u64;
                for part in [&c.loop_cond, &c.loop_step, &c.result] {
                    round = round.saturating_add(self.look(part, depth + 1)?.cost);
                }
                (round, Shape::plain())
            }
            _ => return Err(self.whole("holds a loop that is not known here")),
        };
        self.loops -= 1;
        self.scope.truncate(outer);
        // Each item is copied into the loop's variable.
        let copied = range.shape.copied();
        let all = rounds.saturating_mul(round.saturating_add(2));
        Ok(Seen::new(
            range
                .cost
                .saturating_add(copied)
                .saturating_add(all)
                .saturating_add(2),
            shape,
        ))
    }

    /// One round of a loop that makes a list, and the list.
    fn growing(
        &mut self,
        c: &ComprehensionExpr,
        range: &Shape,
        depth: usize,
    ) -> Result<(u64, Shape), CelProblem> {
        let unknown = || self.whole("holds a loop that is not known here");
        let accu = |e: &IdedExpr| matches!(&e.expr, Expr::Ident(name) if *name == c.accu_var);
        let (guard, step) = match &c.loop_step.expr {
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => match call.args.as_slice() {
                [guard, step, other] if accu(other) => (Some(guard), step),
                _ => return Err(unknown()),
            },
            _ => (None, &c.loop_step),
        };
        let added = match &step.expr {
            Expr::Call(call) if call.func_name == operators::ADD => match call.args.as_slice() {
                [list, added] if accu(list) => added,
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        let entry = match &added.expr {
            Expr::List(list) => match list.elements.as_slice() {
                [entry] => entry,
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        if !accu(&c.result) || !matches!(c.loop_cond.expr, Expr::Literal(_)) {
            return Err(unknown());
        }
        let mut round = 4_u64;
        if let Some(guard) = guard {
            round = round.saturating_add(self.look(guard, depth + 2)?.cost);
        }
        let seen = self.look(entry, depth + 3)?;
        round = round
            .saturating_add(seen.cost)
            .saturating_add(seen.shape.copied());
        let kept = matches!(&entry.expr, Expr::Ident(name) if *name == c.iter_var);
        let shape = if kept {
            range.clone()
        } else {
            seen.shape.times(range.len)
        };
        Ok((round, shape))
    }

    fn whole(&self, message: impl Into<String>) -> CelProblem {
        problem(self.source, 0, message)
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
