//! The pieces that forms take: ranges, taints, variables, sizes, patches. One small parser each.

use kubechat_crds::intent::{Action, IntentParams, Taint, TaintEffect};

use super::forms::{ENV_NOUNS, Taken, put};
use super::frame::Frame;
use super::parser::Parser;
use super::words::{self, Measure};
use super::{Ask, form_new, names};

impl<'a> Parser<'a> {
    /// One piece of the frame's form.
    pub(super) fn piece(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let Some(mut taken) = frame.form.take() else {
            return Ok(false);
        };
        let removes = frame.gap;
        let took = match taken.action {
            Action::SetEnv => self.container(frame).and_then(|took| {
                if took {
                    return Ok(true);
                }
                self.variable(&mut taken, removes)
            }),
            Action::Autoscale => self.range(&mut taken.params),
            Action::Taint => self.taint(&mut taken.params, false),
            Action::Untaint => self.taint(&mut taken.params, true),
            Action::ExpandPvc => self.size(&mut taken.params),
            Action::Patch => self.json_patch(&mut taken.params),
            Action::CreateDeployment
            | Action::CreateJob
            | Action::CreateCronJob
            | Action::CreateConfigMap
            | Action::CreatePdb
            | Action::CreateQuota
            | Action::CreateLimitRange
            | Action::CreateNetworkPolicy
            | Action::CreateIngress
            | Action::Expose => self.of_new(&mut taken),
            Action::BindRole => self.binding(frame, &mut taken.params),
            Action::Evict | Action::Drain => self.leave(frame, &mut taken.params),
            action if action.is_read() => self.question_piece(action, frame, &mut taken.params),
            _ => Ok(false),
        };
        frame.form = Some(taken);
        took
    }

    /// `between 2 and 5 replicas`, `min 2 max 5`, `up to 5`, `at 70% cpu`.
    fn range(&mut self, params: &mut IntentParams) -> Result<bool, Ask> {
        if let Some((min, max)) = self.attempt(Self::two_bounds) {
            put(&mut params.min_replicas, min, "the fewest replicas")?;
            return put(&mut params.max_replicas, max, "the most replicas");
        }
        if let Some(percent) = self.attempt(Self::cpu_use) {
            return put(&mut params.cpu_percent, percent, "the CPU use");
        }
        let least: &[&str] = &[
            "min",
            "minimum",
            "a minimum of",
            "with min",
            "with a minimum of",
            "at least",
            "with at least",
            "minimum of",
            "with minimum",
            "from at least",
            "no less than",
            "no fewer than",
        ];
        let most: &[&str] = &[
            "max",
            "maximum",
            "a maximum of",
            "with max",
            "with a maximum of",
            "at most",
            "with at most",
            "maximum of",
            "up to",
            "to at most",
            "to a maximum of",
            "with maximum",
            "no more than",
            "to up to",
            "with up to",
            "not more than",
        ];
        if let Some(n) = self.attempt(|p| p.bound(least)) {
            return put(&mut params.min_replicas, n, "the fewest replicas");
        }
        if let Some(n) = self.attempt(|p| p.bound(most)) {
            return put(&mut params.max_replicas, n, "the most replicas");
        }
        Ok(false)
    }

    fn count(&mut self) -> Option<i32> {
        let n = self.number()?;
        i32::try_from(n).ok().filter(|n| (1..=1_000_000).contains(n))
    }

    fn replica_noun(&mut self) {
        self.eat(&["replicas", "replica", "pods", "instances", "copies"]);
    }

    fn bound(&mut self, led: &[&str]) -> Option<i32> {
        if !self.eat_phrase(led) {
            return None;
        }
        self.replica_noun();
        self.eat(&["of", "=", ":"]);
        let n = self.count()?;
        self.replica_noun();
        Some(n)
    }

    fn two_bounds(&mut self) -> Option<(i32, i32)> {
        self.eat(&["with", "to", "at"]);
        let between = self.eat(&["between", "from"]);
        if let Some((a, b)) = self.text(0).split_once('-')
            && let (Ok(a), Ok(b)) = (a.parse(), b.parse())
        {
            self.pos += 1;
            self.replica_noun();
            return Some((a, b));
        }
        let min = self.count()?;
        self.replica_noun();
        let joined = if between {
            self.eat_phrase(&["and", "to", "—", "through", "up to", "to at most", "and at most"])
        } else {
            self.eat_phrase(&["to", "—", "up to"])
        };
        let max = if joined { self.count()? } else { return None };
        self.replica_noun();
        Some((min, max))
    }

    /// `at 70% cpu`, `cpu at 70 percent`, `targeting 70% cpu utilization`.
    fn cpu_use(&mut self) -> Option<i32> {
        self.eat(&["at", "with", "targeting", "on", "by", "to", "for", "aiming"]);
        self.eat(&["at"]);
        self.eat(&["a", "an"]);
        self.eat_phrase(&["target of", "target", "average of"]);
        let cpu = |p: &mut Self| {
            p.eat(&["of"]);
            p.eat(&["average"]);
            p.eat(&["cpu"]) && {
                p.eat_phrase(&["utilization", "utilisation", "use", "usage", "load", "target"]);
                true
            }
        };
        let first = cpu(self);
        self.eat(&["at", "of", "=", ":", "to", "is"]);
        let n = match self.text(0).strip_suffix('%').map(str::parse::<i32>) {
            Some(Ok(n)) => {
                self.pos += 1;
                n
            }
            _ => {
                let n = self.count()?;
                if !self.eat(&["%", "percent"]) {
                    return None;
                }
                n
            }
        };
        ((first || cpu(self)) && (1..=10_000).contains(&n)).then_some(n)
    }

    /// `with dedicated=gpu:NoSchedule`, `dedicated`, `with effect NoExecute`.
    fn taint(&mut self, params: &mut IntentParams, off: bool) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["with", "of", "as", "the", "to"]);
        self.eat(&["the", "a"]);
        if self.eat_phrase(&["effect", "and effect"]) || (!params.taints.is_empty() && self.key(0) == "as") {
            self.eat(&["=", ":", "of"]);
        }
        if let (Some(effect), Some(last)) = (TaintEffect::named(self.text(0)), params.taints.last_mut()) {
            self.pos += 1;
            self.eat(&["effect"]);
            return put(&mut last.effect, effect, "the effect of the taint");
        }
        let key_led = off && params.taints.is_empty() && self.led_by_taint(from);
        let plain = (self.is_name(0) || self.is_quoted(0)) && self.kind_at(0).is_none();
        if !(self.text(0).contains(['=', ':']) || (key_led && plain)) {
            self.pos = from;
            return Ok(false);
        }
        let text = self.tok(0).map_or("", |t| t.text.as_str());
        let taint = parse_taint(text.strip_suffix('-').unwrap_or(text))?;
        self.pos += 1;
        self.eat(&["taint"]);
        params.taints.push(taint);
        Ok(true)
    }

    /// "remove the taint KEY": the word right after the opening is the key.
    fn led_by_taint(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|i| self.toks.get(i));
        before.is_some_and(|t| matches!(t.key.as_str(), "taint" | "taints"))
    }

    /// `with force`, `and unowned pods too`, `with a grace period of 30 seconds`, `for at most 2 minutes`.
    fn leave(&mut self, frame: &mut Frame<'a>, params: &mut IntentParams) -> Result<bool, Ask> {
        if self.eat_phrase(&[
            "even unowned pods",
            "including unowned pods",
            "unowned pods too",
            "with unowned pods",
            "with force",
            "by force",
            "forcefully",
            "even pods without a controller",
            "including pods without a controller",
        ]) {
            frame.force = true;
            return Ok(true);
        }
        if self.eat_phrase(&[
            "ignoring daemonsets",
            "and ignore daemonsets",
            "ignore daemonsets",
            "except daemonsets",
            "except daemonset pods",
            "without daemonsets",
            "but not daemonsets",
            "its pods",
            "of its pods",
            "of all pods",
            "of pods",
            "gracefully",
            "safely",
        ]) {
            return Ok(true);
        }
        let from = self.pos;
        self.eat(&["with"]);
        self.eat(&["a", "an"]);
        if self.eat_phrase(&[
            "timeout of",
            "timeout",
            "for at most",
            "wait at most",
            "waiting at most",
            "for up to",
        ]) && let Some(seconds) = self.attempt(super::parser::Parser::duration)
        {
            if !(1..=300).contains(&seconds) {
                return Err(Ask::new("An eviction is waited for 1 to 300 seconds"));
            }
            return put(&mut params.timeout_seconds, seconds, "the timeout");
        }
        self.pos = from;
        self.grace(frame)
    }

    /// `to 20Gi`.
    fn size(&mut self, params: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        if self.eat(&["by"]) {
            return Err(Ask::new(
                "Say the size that the claim is to have, not by how much it grows: for example 'to 20Gi'",
            ));
        }
        let led = self.eat(&["to", "at", "=", "with"]);
        self.eat(&["be"]);
        self.eat_phrase(&["a size of", "size", "a total of"]);
        let found = words::quantity(|i| self.key(i), |i| self.text(i));
        let Some((quantity, len)) = found.filter(|(q, _)| led && q.measure == Measure::Memory) else {
            self.pos = from;
            return Ok(false);
        };
        self.pos += len;
        self.eat_phrase(&["in size", "of storage", "of space"]);
        put(&mut params.size, quantity.text, "the size")
    }

    /// `with '{"spec":{..}}'`.
    fn json_patch(&mut self, params: &mut IntentParams) -> Result<bool, Ask> {
        let from = self.pos;
        self.eat(&["with", "using", "by"]);
        self.eat(&["this", "the"]);
        let json = self.eat_phrase(&["json patch"]);
        let merge = !json && self.eat_phrase(&["merge patch"]);
        self.eat(&["patch"]);
        self.eat(&[":"]);
        let text = self.tok(0).map_or("", |t| t.text.as_str());
        if !text.starts_with(['{', '[']) {
            self.pos = from;
            return Ok(false);
        }
        let patch = patch_text(text)?;
        if (json && patch.starts_with('{')) || (merge && patch.starts_with('[')) {
            return Err(Ask::new("A merge patch is a JSON object, a JSON patch an array"));
        }
        self.pos += 1;
        put(&mut params.patch, patch, "the patch")
    }

    /// `LOG_LEVEL=debug`, `LOG_LEVEL to debug`, `PASSWORD from secret db key password`, `OLD-`.
    fn variable(&mut self, taken: &mut Taken, removes: bool) -> Result<bool, Ask> {
        let from = self.pos;
        if taken.pending.is_some() {
            if self.eat(&["to", "=", "as", ":"])
                || self.eat_phrase(&["with value", "with the value", "to the value"])
            {
                let name = taken.pending.take().unwrap_or_default();
                let Some(value) = self.tok(0).filter(|t| t.shape != super::token::Shape::Mark) else {
                    return Err(Ask::new(format!(
                        "{} is to have which value?",
                        names::shown(&name)
                    )));
                };
                self.pos += 1;
                return variable_is(&mut taken.params, &name, &value.text);
            }
            if let Some(reference) = self.attempt(Self::env_source) {
                let name = taken.pending.take().unwrap_or_default();
                taken.params.env_refs.insert(name, reference);
                return Ok(true);
            }
            return Ok(false);
        }
        let first =
            taken.params.set.is_empty() && taken.params.env_refs.is_empty() && taken.params.remove.is_empty();
        self.eat(&["called", "named"]);
        let Some(tok) = self.tok(0).filter(|t| t.shape != super::token::Shape::Mark) else {
            self.pos = from;
            return Ok(false);
        };
        if let Some((name, value)) = tok.text.split_once('=').filter(|(name, _)| is_variable(name)) {
            if removes {
                return Err(Ask::new("To remove a variable, say its name without a value"));
            }
            self.pos += 1;
            self.eat_phrase(ENV_NOUNS);
            return variable_is(&mut taken.params, name, value);
        }
        let shouted = tok.text.chars().any(|c| c.is_ascii_uppercase()) && !tok.text.contains('/');
        if let Some(name) = tok.text.strip_suffix('-').filter(|n| is_variable(n) && shouted) {
            self.pos += 1;
            taken.params.remove.push(name.to_owned());
            return Ok(true);
        }
        let preposition = matches!(
            tok.key.as_str(),
            "on" | "of" | "for" | "in" | "from" | "to" | "at" | "with"
        );
        if (first || shouted) && !preposition && is_variable(&tok.text) {
            self.pos += 1;
            if removes {
                taken.params.remove.push(tok.text.clone());
            } else {
                taken.pending = Some(tok.text.clone());
            }
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    /// `from secret db key password`, `from key a of configmap settings`.
    fn env_source(&mut self) -> Option<String> {
        if !self.eat(&["from"]) {
            return None;
        }
        self.eat(&["the"]);
        let key_first = self.eat(&["key"]).then(|| self.word_taken()).flatten();
        if key_first.is_some() && !self.eat(&["of", "in", "from"]) {
            return None;
        }
        self.eat(&["the"]);
        let kind = match self.key(0) {
            "secret" => "secret",
            "configmap" | "cm" => "configmap",
            _ => return None,
        };
        self.pos += 1;
        let name = self.word_taken()?;
        let key = match key_first {
            Some(key) => key,
            None => {
                self.eat(&[","]);
                self.eat(&["with", "using"]);
                self.eat(&["the"]);
                if !self.eat(&["key"]) {
                    return None;
                }
                self.word_taken()?
            }
        };
        Some(format!("{kind}/{name}/{key}")).filter(|r| r.matches('/').count() == 2)
    }

    fn word_taken(&mut self) -> Option<String> {
        let tok = self.tok(0).filter(|t| t.shape != super::token::Shape::Mark)?;
        self.pos += 1;
        Some(tok.text.clone())
    }
}

/// Names of variables as people use them; the API server allows more, and a kubectl line may say them.
pub(super) fn is_variable(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=253).contains(&text.len())
        && text.bytes().all(ok)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !text.ends_with(['-', '.'])
}

fn variable_is(params: &mut IntentParams, name: &str, value: &str) -> Result<bool, Ask> {
    if params
        .set
        .insert(name.to_owned(), value.to_owned())
        .is_some_and(|old| old != value)
    {
        return Err(Ask::new(format!("{} is given two values", names::shown(name))));
    }
    Ok(true)
}

/// `key=value:Effect`, `key:Effect`, `key=value`, `key`.
pub(super) fn parse_taint(text: &str) -> Result<Taint, Ask> {
    let wrong = || {
        Ask::new(format!(
            "{} is no taint; write key=value:NoSchedule (or PreferNoSchedule, NoExecute)",
            names::shown(text)
        ))
    };
    let (head, effect) = match text.rsplit_once(':') {
        Some((head, effect)) => (head, Some(TaintEffect::named(effect).ok_or_else(wrong)?)),
        None => (text, None),
    };
    let (key, value) = match head.split_once('=') {
        Some((key, value)) => (key, Some(value).filter(|v| !v.is_empty())),
        None => (head, None),
    };
    if !names::is_key(key) || !value.is_none_or(names::is_label_value) {
        return Err(wrong());
    }
    Ok(Taint {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect,
    })
}

/// A patch that is JSON, in one line.
pub(super) fn patch_text(text: &str) -> Result<String, Ask> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(patch @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => Ok(patch.to_string()),
        Ok(_) => Err(Ask::new("A patch is a JSON object or array")),
        Err(error) => Err(Ask::new(format!("The patch is no JSON: {error}"))),
    }
}

/// What a form cannot do without.
pub(super) fn complete(action: Action, params: &IntentParams) -> Result<(), Ask> {
    let missing = match action {
        Action::SetEnv => (params.set.is_empty() && params.env_refs.is_empty() && params.remove.is_empty())
            .then_some("Which variable? Write NAME=value, for example 'set env LOG_LEVEL=debug on web'"),
        Action::Autoscale => (params.max_replicas.is_none() && params.min_replicas.is_none() && params.cpu_percent.is_none())
            .then_some("Between how many replicas? For example 'autoscale web between 2 and 5 replicas'"),
        Action::Taint => (params.taints.is_empty() || params.taints.iter().any(|t| t.effect.is_none()))
            .then_some("Which taint? Write key=value:NoSchedule, for example 'taint node-1 with dedicated=gpu:NoSchedule'"),
        Action::Untaint => params
            .taints
            .is_empty()
            .then_some("Which taint? For example 'remove the taint dedicated from node-1'"),
        Action::ExpandPvc => params
            .size
            .is_none()
            .then_some("To what size? For example 'expand pvc data to 20Gi'"),
        Action::Diff => params
            .revision
            .is_none()
            .then_some("Which revisions? For example 'diff revision 1 and 2 of web'"),
        Action::CanI => params
            .verb
            .is_none()
            .then_some("May you do what? For example 'can I delete pods in prod'"),
        Action::Patch => params
            .patch
            .is_none()
            .then_some("With which patch? Write it as JSON in quotes"),
        other => form_new::complete(other, params),
    };
    if let (Some(min), Some(max)) = (params.min_replicas, params.max_replicas)
        && min > max
    {
        return Err(Ask::new(format!("At least {min} and at most {max} replicas is no range")).firm());
    }
    missing.map_or(Ok(()), |text| Err(Ask::new(text)))
}
