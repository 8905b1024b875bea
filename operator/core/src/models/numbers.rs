//! The numbers that a person said: in figures, in English words, as a share ("half", "double"), with the unit behind them.
//! Whether a number of an answer is one of these, or one of these in another unit.

use crate::interpret::number_at;

/// A number and the word behind it, in small letters; none where nothing stands there.
#[derive(Debug)]
struct Number {
    value: f64,
    unit: String,
}

/// What a sentence says of numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    text: String,
    words: Vec<String>,
    said: Vec<Number>,
}

/// Words that are a number of the whole.
const SHARES: &[(&str, f64)] = &[
    ("half", 0.5),
    ("halve", 0.5),
    ("halved", 0.5),
    ("quarter", 0.25),
    ("double", 2.0),
    ("doubled", 2.0),
    ("twice", 2.0),
    ("triple", 3.0),
    ("tripled", 3.0),
    ("thrice", 3.0),
    ("quadruple", 4.0),
    ("couple", 2.0),
    ("pair", 2.0),
    ("single", 1.0),
    ("another", 1.0),
    ("extra", 1.0),
    ("additional", 1.0),
    ("none", 0.0),
    ("nothing", 0.0),
    ("off", 0.0),
    ("stop", 0.0),
];
const TIMES: &[&str] = &[
    "double",
    "doubled",
    "twice",
    "triple",
    "tripled",
    "thrice",
    "quadruple",
];
const UNITS: &[(&str, f64)] = &[
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

impl Numbers {
    pub(super) fn of(prompt: &str) -> Self {
        let text = prompt.to_lowercase();
        let between = |c: char| {
            c.is_whitespace()
                || matches!(
                    c,
                    ';' | '(' | ')' | '"' | '\'' | '`' | '!' | '?' | '=' | ':' | '/' | ','
                )
        };
        let words: Vec<String> = text
            .split(between)
            .map(|word| word.trim_matches(['.', '-', '+']).to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        let all: Vec<&str> = words.iter().map(String::as_str).collect();
        let unit = |at: usize| all.get(at).copied().unwrap_or_default().to_owned();
        let mut said = vec![];
        for at in 0..all.len() {
            let rest = all.get(at..).unwrap_or_default();
            if let Some((value, len)) = number_at(rest) {
                let value = value as f64;
                said.push(Number {
                    value,
                    unit: unit(at + len),
                });
                if unit(at + len).starts_with("thousand") {
                    said.push(Number {
                        value: value * 1000.0,
                        unit: unit(at + len + 1),
                    });
                }
            }
            let word = unit(at);
            said.extend(word.split('-').filter_map(figure).map(|mut number| {
                if number.unit.is_empty() {
                    number.unit = unit(at + 1);
                }
                number
            }));
            let share = SHARES.iter().find(|(share, _)| *share == word);
            // "half a gig"
            let article = usize::from(matches!(unit(at + 1).as_str(), "a" | "an" | "of"));
            said.extend(share.map(|(_, value)| Number {
                value: *value,
                unit: unit(at + 1 + article),
            }));
            if matches!(word.as_str(), "a" | "an" | "one") {
                said.push(Number {
                    value: 1.0,
                    unit: unit(at + 1),
                });
            }
        }
        // "1,000" stands as one word before it is parted.
        let whole = text.split_whitespace().filter(|word| word.contains(','));
        said.extend(whole.filter_map(|word| {
            let (value, _) = number_at(&[word.trim_end_matches([',', '.'])])?;
            Some(Number {
                value: value as f64,
                unit: String::new(),
            })
        }));
        Self { text, words, said }
    }

    fn any(&self, fits: impl Fn(&Number) -> bool) -> bool {
        self.said.iter().any(fits)
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    /// A count: "a" and "an" alone count nothing.
    pub(super) fn counts(&self, number: i64) -> bool {
        let plain = |n: &Number| same(n.value, number as f64);
        let article = number == 1 && !self.has(&["one", "single", "another", "extra", "additional", "1"]);
        let counted = self.any(plain) && !article;
        counted || number == 0 && self.has(&["no"])
    }

    /// A share in percent, as it was said or of what there is: "by 20 percent" is 120 or 80, "three times" 300.
    pub(super) fn shares(&self, percent: f64) -> bool {
        self.any(|n| {
            let times = [n.value * 100.0, 100.0 + n.value * 100.0, 100.0 - n.value * 100.0];
            let share = n.value < 1.0
                || self.has(TIMES)
                || n.unit.is_empty()
                || n.unit.starts_with("time")
                || n.unit == "x"
                || n.unit == "fold";
            [n.value, 100.0 + n.value, 100.0 - n.value]
                .iter()
                .any(|said| same(*said, percent))
                || share && times.iter().any(|said| same(*said, percent))
        })
    }

    /// A number, or a percentage.
    pub(super) fn either(&self, text: &str) -> bool {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().is_ok_and(|p: f64| {
                self.any(|n| same(n.value, p) || n.value < 1.0 && same(n.value * 100.0, p))
            }),
            None => text.parse().is_ok_and(|n| self.counts(n)),
        }
    }

    /// An amount of CPU, memory or storage, also in another unit.
    pub(super) fn quantity(&self, text: &str) -> bool {
        let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (Some(number), Some(suffix)) = (text.get(..at), text.get(at..)) else {
            return false;
        };
        let factor = match suffix {
            "" => Some(1.0),
            _ => UNITS
                .iter()
                .find(|(unit, _)| *unit == suffix)
                .map(|(_, factor)| *factor),
        };
        let (Ok(number), Some(factor)) = (number.parse::<f64>(), factor) else {
            return false;
        };
        self.any(|n| match factors(&n.unit) {
            Some(units) => units.iter().any(|unit| same(n.value * unit, number * factor)),
            // Without a unit it is the number that counts.
            None => same(n.value, number) || same(n.value, number * factor),
        })
    }

    /// A length of time in seconds.
    pub(super) fn seconds(&self, seconds: i64) -> bool {
        self.any(|n| {
            let unit = match n.unit.chars().next() {
                Some('m') => 60.0,
                Some('h') => 3600.0,
                Some('d') => 86_400.0,
                Some(_) | None => 1.0,
            };
            same(n.value * unit, seconds as f64) || same(n.value, seconds as f64) && unit <= 1.0
        })
    }

    /// A schedule of cron: as it was written, or made of the times and days that were said.
    pub(super) fn schedule(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        if self.text.contains(&lower) {
            return true;
        }
        let often: &[&str] = match lower.as_str() {
            "@hourly" => &["hourly", "hour"],
            "@daily" | "@midnight" => &["daily", "day", "night", "nightly", "midnight"],
            "@weekly" => &["weekly", "week"],
            "@monthly" => &["monthly", "month"],
            "@yearly" | "@annually" => &["yearly", "year", "annually"],
            _ => &[],
        };
        if lower.starts_with('@') {
            return self.has(often);
        }
        let fields: Vec<&str> = lower.split_whitespace().collect();
        let part = |c: char| matches!(c, ',' | '-' | '/' | '*' | '?');
        // Each minute, or each hour, is asked for as such.
        let minutes = self.words.iter().any(|word| word.starts_with("minut"));
        let hours = minutes || self.words.iter().any(|word| word.starts_with("hour"));
        let every = |at: usize| fields.get(at).is_some_and(|field| field.contains('*'));
        fields.len() == 5
            && (!every(0) || minutes)
            && (!every(1) || hours)
            && fields.iter().enumerate().all(|(at, field)| {
                let each = field.split(part).filter(|part| !part.is_empty());
                each.into_iter().all(|part| self.moment(at, part))
            })
    }

    /// One number or name of a field of a schedule.
    fn moment(&self, field: usize, part: &str) -> bool {
        let begins = |names: &[&str]| {
            names
                .iter()
                .any(|name| self.words.iter().any(|word| word.starts_with(name)))
        };
        let workdays = self.has(&["weekday", "weekdays", "workday", "workdays", "working"]);
        let weekend = self.has(&["weekend", "weekends"]);
        let Ok(number) = part.parse::<usize>() else {
            let day = matches!(part, "mon" | "fri") && workdays || matches!(part, "sat" | "sun") && weekend;
            return day || (DAYS.contains(&part) || MONTHS.contains(&part)) && begins(&[part]);
        };
        let after_noon = || field == 1 && number >= 12 && self.any(|n| same(n.value + 12.0, number as f64));
        let named = match field {
            0 => number == 30 && self.has(&["half"]) || matches!(number, 15 | 45) && self.has(&["quarter"]),
            1 => number == 12 && self.has(&["noon", "midday"]),
            2 => number == 1 && self.has(&["month", "monthly", "year", "yearly"]),
            3 => number
                .checked_sub(1)
                .and_then(|at| MONTHS.get(at))
                .is_some_and(|name| begins(&[name])),
            _ => {
                matches!(number, 1 | 5) && workdays
                    || matches!(number, 0 | 6 | 7) && weekend
                    || DAYS.get(number % 7).is_some_and(|name| begins(&[name]))
                    || number <= 1 && self.has(&["week", "weekly"])
            }
        };
        // Nothing is said of what is at its beginning.
        number == 0 && field < 2 || named || after_noon() || self.any(|n| same(n.value, number as f64))
    }
}

/// `512mi`, `2.5`, `50%`, `3x`.
fn figure(word: &str) -> Option<Number> {
    let end = word
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(word.len());
    let unit = word.get(end..)?;
    let short = unit.len() <= 12 && unit.chars().all(|c| c.is_ascii_alphabetic() || c == '%');
    Some(Number {
        value: word.get(..end)?.parse().ok().filter(|_| short)?,
        unit: unit.to_owned(),
    })
}

/// What a word for a unit may mean; people say GB and mean GiB, too.
fn factors(unit: &str) -> Option<Vec<f64>> {
    let of = |names: &[&str]| {
        let named = UNITS.iter().filter(|(unit, _)| names.contains(unit));
        Some(named.map(|(_, factor)| *factor).collect())
    };
    match unit {
        "m" => of(&["m", "M", "Mi"]),
        "millicore" | "millicores" | "millicpu" | "millicpus" => of(&["m"]),
        "core" | "cores" | "cpu" | "cpus" | "vcpu" | "vcpus" => Some(vec![1.0]),
        "k" | "ki" | "kb" | "kib" | "kilobyte" | "kilobytes" => of(&["k", "Ki"]),
        "mi" | "mb" | "mib" | "meg" | "megs" | "megabyte" | "megabytes" | "mebibytes" => of(&["M", "Mi"]),
        "g" | "gi" | "gb" | "gib" | "gig" | "gigs" | "gigabyte" | "gigabytes" | "gibibytes" => {
            of(&["G", "Gi"])
        }
        "t" | "ti" | "tb" | "tib" | "terabyte" | "terabytes" | "tebibytes" => of(&["T", "Ti"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_that_were_said_in_any_unit() {
        for (prompt, text, expected) in [
            ("give web 512Mi", "512Mi", true),
            ("give web 512 MB", "512Mi", true),
            ("give web 512 megabytes", "512M", true),
            ("give web half a core", "500m", true),
            ("give web 500m of cpu", "0.5", true),
            ("give web two gigs", "2Gi", true),
            ("give web 1.5 cores", "1500m", true),
            ("a volume of 20", "20Gi", true),
            ("give web 512Mi", "512Gi", false),
            ("give web 512Mi", "1Gi", false),
            ("give web 1024Mi", "1Gi", true),
            ("give web more memory", "2Gi", false),
            ("give web 2 cores", "2Gi", false),
            ("give web 2 cores", "much", false),
        ] {
            assert_eq!(Numbers::of(prompt).quantity(text), expected, "{prompt}: {text}");
        }
    }

    #[test]
    fn schedules_are_made_of_the_times_that_were_said() {
        for (prompt, text, expected) in [
            ("every night at 3", "0 3 * * *", true),
            ("every day at 3:30", "30 3 * * *", true),
            ("at 5pm on weekdays", "0 17 * * 1-5", true),
            ("mondays at noon", "0 12 * * 1", true),
            ("on Sundays at four", "0 4 * * SUN", true),
            ("every 15 minutes", "*/15 * * * *", true),
            ("run it as 7 4 * * 2", "7 4 * * 2", true),
            ("hourly", "@hourly", true),
            ("every month", "0 0 1 * *", true),
            ("each January at 6", "0 6 * 1 *", true),
            ("every night at 3", "0 4 * * *", false),
            ("every night at 3", "* * * * *", false),
            ("every night at 3", "0 * * * *", false),
            ("every hour", "0 * * * *", true),
            ("every night", "@hourly", false),
            ("mondays at noon", "0 12 * * 2", false),
            ("every 15 minutes", "*/5 * * * *", false),
            ("every night at 3", "0 3 * *", false),
        ] {
            assert_eq!(Numbers::of(prompt).schedule(text), expected, "{prompt}: {text}");
        }
    }

    #[test]
    fn counts_shares_and_times_are_those_that_were_said() {
        for (prompt, count, expected) in [
            ("five of them", 5, true),
            ("a dozen", 12, true),
            ("twenty five", 25, true),
            ("1,000 of them", 1000, true),
            ("two thousand", 2000, true),
            ("from 2 to 9", 9, true),
            ("2-9 of them", 9, true),
            ("none of them", 0, true),
            ("web-3 of them", 3, true),
            ("a web", 1, false),
            ("another one", 1, true),
            ("some", 3, false),
            ("f\u{fc}nf", 5, false),
            ("", 0, false),
        ] {
            assert_eq!(Numbers::of(prompt).counts(count), expected, "{prompt}: {count}");
        }
        for (prompt, percent, expected) in [
            ("double it", 200.0, true),
            ("half of it", 50.0, true),
            ("20% more", 120.0, true),
            ("20 percent less", 80.0, true),
            ("three times as many", 300.0, true),
            ("20% more", 150.0, false),
            ("a bit more", 150.0, false),
        ] {
            assert_eq!(
                Numbers::of(prompt).shares(percent),
                expected,
                "{prompt}: {percent}"
            );
        }
        for (prompt, seconds, expected) in [
            ("wait 2 minutes", 120, true),
            ("wait an hour", 3600, true),
            ("wait 30s", 30, true),
            ("wait 30", 30, true),
            ("wait 2 minutes", 2, false),
            ("wait a while", 60, false),
        ] {
            assert_eq!(
                Numbers::of(prompt).seconds(seconds),
                expected,
                "{prompt}: {seconds}"
            );
        }
    }
}
