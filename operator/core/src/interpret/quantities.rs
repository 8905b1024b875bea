//! Replicas, requests and limits out of the words of a clause.

use std::collections::BTreeMap;

use kubechat_crds::intent::IntentParams;

use super::frame::{Amount, Frame, Particle, Res};
use super::vocab::{Noun, Verb};
use super::words::{Measure, Quantity};
use super::{Ask, names};

/// Most replicas that can be asked for, as the intent's schema has it.
const MAX_REPLICAS: i64 = 1_000_000;

/// Which way a verb or a particle points: 1, -1, or 0 for no way.
fn direction(frame: &Frame<'_>) -> i64 {
    match (frame.verb, frame.particle) {
        (Verb::ScaleUp | Verb::Increase | Verb::Add, _) => 1,
        (Verb::ScaleDown | Verb::Decrease | Verb::Drop | Verb::Delete, _) => -1,
        (_, Some(Particle::Up)) => 1,
        (_, Some(Particle::Down)) => -1,
        _ => 0,
    }
}

fn small(n: i64) -> Result<i32, Ask> {
    let fits = (-MAX_REPLICAS..=MAX_REPLICAS).contains(&n);
    i32::try_from(n)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| Ask::new(format!("At most {MAX_REPLICAS} replicas can be asked for")))
}

/// Fills the parameters of scale.
pub(super) fn replicas(frame: &Frame<'_>, params: &mut IntentParams) -> Result<(), Ask> {
    let way = direction(frame);
    let how_much = || {
        let name = frame
            .targets
            .first()
            .and_then(|np| np.names.first())
            .map_or("NAME", String::as_str);
        let by = if way < 0 { "down" } else { "up" };
        Ask::with(
            "To how many replicas, or by how many?",
            vec![format!("scale {name} to 3"), format!("scale {name} {by} by 1")],
        )
    };
    if let Some(from) = frame.from {
        params.current_replicas = Some(small(from)?);
    }
    if let Verb::Factor(percent) = frame.verb {
        params.replicas_percent = Some(percent);
        return if frame.amount.is_none() {
            Ok(())
        } else {
            Err(how_much())
        };
    }
    let counted = frame.has(Noun::Replicas);
    match frame.amount.ok_or_else(how_much)? {
        Amount::To(n) => params.replicas = Some(small(n)?),
        Amount::Bare(n) => match frame.verb {
            Verb::Add | Verb::Delete if counted && n > 0 => params.replicas_delta = Some(small(n * way)?),
            Verb::Scale | Verb::Set | Verb::Bring if way == 0 => params.replicas = Some(small(n)?),
            Verb::Give | Verb::Run | Verb::Want if counted => params.replicas = Some(small(n)?),
            _ => return Err(how_much()),
        },
        Amount::By(n) if way != 0 && n > 0 => params.replicas_delta = Some(small(n * way)?),
        Amount::More(n) if n > 0 && way >= 0 => params.replicas_delta = Some(small(n)?),
        Amount::More(n) if n < 0 && way <= 0 => params.replicas_delta = Some(small(n)?),
        Amount::More(n) if frame.verb == Verb::Delete && n > 0 => params.replicas_delta = Some(small(-n)?),
        Amount::Percent(percent) => params.replicas_percent = Some(percents(percent)?),
        Amount::ByPercent(percent) if way > 0 => params.replicas_percent = Some(percents(100 + percent)?),
        Amount::ByPercent(percent) if way < 0 && percent <= 100 => {
            params.replicas_percent = Some(percents(100 - percent)?);
        }
        Amount::By(_) | Amount::More(_) | Amount::ByPercent(_) => return Err(how_much()),
    }
    Ok(())
}

fn percents(percent: i64) -> Result<i32, Ask> {
    let fits = (0..=10_000).contains(&percent);
    i32::try_from(percent)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| Ask::new("Replicas can be scaled to at most 10000 percent"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Cpu,
    Memory,
}

/// Fills requests and limits from the words in the order said.
pub(super) fn resources(frame: &Frame<'_>, params: &mut IntentParams) -> Result<(), Ask> {
    if frame.relative {
        return Err(Ask::new(
            "Requests and limits are set to a value, not changed by one; say the wanted value",
        ));
    }
    let mut classes: Vec<Res> = Vec::new();
    let mut what: Option<What> = None;
    let mut fresh = false;
    let mut any = false;
    let mut rest = frame.resources.iter().peekable();
    while let Some(res) = rest.next() {
        match res {
            Res::Cpu => what = Some(What::Cpu),
            Res::Memory => what = Some(What::Memory),
            Res::Limit | Res::Request => {
                if fresh {
                    classes.clear();
                }
                classes.push(res.clone());
                fresh = false;
            }
            Res::Value(quantity) => {
                // "500m cpu", "512Mi memory limit": the words may stand after the value.
                let after = rest.peek().and_then(|next| kind_of(next));
                let before = what.take();
                if before.is_none() && after.is_some() {
                    rest.next();
                }
                let named = before.or(after);
                let mut here = classes.clone();
                while here.is_empty()
                    || (classes.is_empty() && matches!(rest.peek(), Some(Res::Limit | Res::Request)))
                {
                    let Some(class) = rest.next_if(|r| matches!(r, Res::Limit | Res::Request)) else {
                        break;
                    };
                    here.push(class.clone());
                }
                let here = if here.is_empty() { by_verb(frame)? } else { here };
                put(params, &here, key_and_value(quantity, named)?)?;
                fresh = true;
                any = true;
            }
        }
    }
    if any {
        Ok(())
    } else {
        Err(Ask::new(
            "Which value? Say for example 'set the memory limit of web to 512Mi'",
        ))
    }
}

const fn kind_of(res: &Res) -> Option<What> {
    match res {
        Res::Cpu => Some(What::Cpu),
        Res::Memory => Some(What::Memory),
        Res::Limit | Res::Request | Res::Value(_) => None,
    }
}

/// "limit web to 512Mi", "reserve 1 core for web"; other verbs must say which.
fn by_verb(frame: &Frame<'_>) -> Result<Vec<Res>, Ask> {
    match frame.verb {
        Verb::Limit => Ok(vec![Res::Limit]),
        Verb::Reserve => Ok(vec![Res::Request]),
        _ => {
            let name = frame
                .targets
                .first()
                .and_then(|np| np.names.first())
                .map_or("NAME", String::as_str);
            Err(Ask::with(
                "Is the value a request or a limit? Say which, or both",
                vec![
                    format!("set the memory limit of {name} to 512Mi"),
                    format!("set the memory request of {name} to 512Mi"),
                    format!("set the memory request and limit of {name} to 512Mi"),
                ],
            ))
        }
    }
}

fn key_and_value(quantity: &Quantity, named: Option<What>) -> Result<(&'static str, String), Ask> {
    let text = names::shown(&quantity.text);
    let what = match (quantity.measure, named) {
        (Measure::Cpu, Some(What::Memory)) | (Measure::Memory, Some(What::Cpu)) => {
            return Err(Ask::new(format!(
                "{text} does not measure what it is said of; check the unit"
            )));
        }
        (Measure::Milli, Some(What::Memory)) => {
            return Err(Ask::new(format!(
                "{text} of memory is less than one byte; say for example 512Mi or 512M"
            )));
        }
        (Measure::Plain, Some(What::Memory)) => {
            return Err(Ask::new(format!(
                "{text} of memory has no unit; say for example 512Mi or 512M"
            )));
        }
        (Measure::Plain, None) => {
            return Err(Ask::new(format!(
                "{text} has no unit; say for example '500m cpu' or '512Mi memory'"
            )));
        }
        (_, Some(what)) => what,
        (Measure::Cpu | Measure::Milli, None) => What::Cpu,
        (Measure::Memory, None) => What::Memory,
    };
    Ok((
        if what == What::Cpu { "cpu" } else { "memory" },
        quantity.text.clone(),
    ))
}

fn put(params: &mut IntentParams, classes: &[Res], (key, value): (&'static str, String)) -> Result<(), Ask> {
    for class in classes {
        let map: &mut BTreeMap<String, String> = if *class == Res::Limit {
            &mut params.limits
        } else {
            &mut params.requests
        };
        if map
            .insert(key.to_owned(), value.clone())
            .is_some_and(|old| old != value)
        {
            return Err(Ask::new(format!("The {key} value is named twice; say one")));
        }
    }
    Ok(())
}
