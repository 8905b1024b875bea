//! Freeze windows: once from and to, or again and again by cron.
//!
//! A cron is read on the wall clock of its time zone. A start that the clock skips (summer time begins) is taken as much
//! later as the clock jumped; one that comes twice (summer time ends) is taken the first time. The length is elapsed
//! time, so a freeze never gets shorter by a change of the clock.

use cronexpr::Crontab;
use jiff::civil::DateTime;
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{SignedDuration, Timestamp};
use kubechat_crds::risk_policy::{Freeze, RuleEffect};

use super::functions::time_zone;
use crate::duration;

/// Longest window of a cron.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(366 * 24);
/// More than summer time makes any clock jump.
const SLACK: SignedDuration = SignedDuration::from_hours(3);
/// Starts looked at; a cron of every minute begins 360 times within the slack on both sides.
const MAX_STARTS: usize = 400;

/// A freeze that can be asked.
#[derive(Debug)]
pub(super) struct Window {
    when: When,
    zone: TimeZone,
    /// What it does.
    pub(super) effect: RuleEffect,
    /// As people read it.
    pub(super) text: String,
}

#[derive(Debug)]
enum When {
    Once {
        from: Timestamp,
        to: Timestamp,
    },
    Again {
        starts: Box<Crontab>,
        length: SignedDuration,
    },
}

impl Window {
    /// Reads a freeze.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(freeze: &Freeze) -> Result<Self, String> {
        if freeze.effect == RuleEffect::Allow {
            return Err("its effect is Allow; it is RequireApproval or Deny".to_owned());
        }
        let name = freeze.time_zone.as_deref().unwrap_or("UTC");
        let zone = time_zone(name)?;
        let (when, text) = match (&freeze.cron, &freeze.duration, &freeze.from, &freeze.to) {
            (Some(cron), Some(length), None, None) => {
                let starts = Box::new(crontab(cron)?);
                let length = duration::parse(length)
                    .and_then(|d| SignedDuration::try_from(d).ok())
                    .filter(|d| d.is_positive() && *d <= MAX_LENGTH)
                    .ok_or_else(|| {
                        format!("duration {length:?} is no duration like 8h or 90m, up to a year")
                    })?;
                let text = format!(
                    "{cron} ({name}) for {}",
                    freeze.duration.as_deref().unwrap_or_default()
                );
                (When::Again { starts, length }, text)
            }
            (None, None, Some(from), Some(to)) if from.0 < to.0 => {
                let text = format!("{} to {}", from.0, to.0);
                (
                    When::Once {
                        from: from.0,
                        to: to.0,
                    },
                    text,
                )
            }
            (None, None, Some(_), Some(_)) => return Err("it ends before it begins".to_owned()),
            _ => return Err("it has either cron and duration, or from and to".to_owned()),
        };
        Ok(Self {
            when,
            zone,
            effect: freeze.effect,
            text,
        })
    }

    /// Until when it holds at least, where it holds now.
    ///
    /// # Errors
    /// It cannot be told whether it holds; the caller takes it as holding.
    pub(super) fn active(&self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        match &self.when {
            When::Once { from, to } => Ok((*from <= now && now < *to).then_some(*to)),
            When::Again { starts, length } => self.again(starts, *length, now),
        }
    }

    fn again(
        &self,
        starts: &Crontab,
        length: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, String> {
        let failed = |e: &dyn std::fmt::Display| format!("the window {} cannot be computed: {e}", self.text);
        let wall = as_utc(now.to_zoned(self.zone.clone()).datetime()).map_err(|e| failed(&e))?;
        let mut at = wall
            .checked_sub(length)
            .and_then(|t| t.checked_sub(SLACK))
            .map_err(|e| failed(&e))?;
        let latest = wall.checked_add(SLACK).map_err(|e| failed(&e))?;
        for _ in 0..MAX_STARTS {
            // No start in four years is none at all.
            let Ok(next) = starts.find_next(at) else {
                return Ok(None);
            };
            at = next.timestamp();
            if at > latest {
                return Ok(None);
            }
            let begin = self
                .zone
                .to_ambiguous_zoned(next.datetime())
                .disambiguate(Disambiguation::Compatible)
                .map_err(|e| failed(&e))?
                .timestamp();
            let end = begin.checked_add(length).map_err(|e| failed(&e))?;
            if begin <= now && now < end {
                return Ok(Some(end));
            }
        }
        Err(format!(
            "the window {} begins too often to be computed",
            self.text
        ))
    }
}

/// The wall clock as if it were UTC: cron is then exact arithmetic, and the zone is put back afterwards.
fn as_utc(wall: DateTime) -> Result<Timestamp, jiff::Error> {
    TimeZone::UTC.to_timestamp(wall)
}

/// Five fields, nothing else: the library would also take a time zone.
fn crontab(cron: &str) -> Result<Crontab, String> {
    if cron.split_whitespace().count() != 5 {
        return Err(format!(
            "cron {cron:?} does not have five fields (minute hour day-of-month month day-of-week)"
        ));
    }
    let parsed = cronexpr::parse_crontab(&format!("{cron} UTC")).map_err(|e| {
        format!(
            "cron {cron:?} cannot be read: {}",
            e.to_string().replace('\n', " ")
        )
    })?;
    parsed
        .find_next(Timestamp::UNIX_EPOCH)
        .map_err(|_| format!("cron {cron:?} never begins"))?;
    Ok(parsed)
}

#[cfg(test)]
#[path = "freeze_tests.rs"]
mod tests;
