//! Numbers in digits and words, durations and resource quantities. Pure functions over the keys of tokens.
//!
//! Each returns the value and the number of tokens it took, or nothing: what is not sure is not read.

const ONES: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: &[&str] = &[
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

fn index(list: &[&str], key: &str) -> Option<i64> {
    list.iter()
        .position(|w| *w == key)
        .and_then(|i| i64::try_from(i).ok())
}

/// Digits, `1,000` included, at most nine of them.
fn digits(key: &str) -> Option<i64> {
    let plain = key.replace(',', "");
    let fits = (1..=9).contains(&plain.len()) && plain.bytes().all(|b| b.is_ascii_digit());
    if fits { plain.parse().ok() } else { None }
}

/// A number below one hundred in words: `five`, `twenty-five`, `twenty five`.
fn below_hundred<'k>(keys: impl Fn(usize) -> &'k str) -> Option<(i64, usize)> {
    let first = keys(0);
    if let Some(n) = index(ONES, first) {
        return Some((n, 1));
    }
    if let Some((tens, ones)) = first.split_once('-') {
        let (tens, ones) = (index(TENS, tens)?, index(ONES, ones)?);
        return (1..=9).contains(&ones).then_some(((tens + 2) * 10 + ones, 1));
    }
    let tens = (index(TENS, first)? + 2) * 10;
    match index(ONES, keys(1)) {
        Some(ones @ 1..=9) => Some((tens + ones, 2)),
        Some(_) | None => Some((tens, 1)),
    }
}

/// A whole number: digits, words up to a few hundred, dozens.
pub(super) fn number<'k>(keys: impl Fn(usize) -> &'k str) -> Option<(i64, usize)> {
    if let Some(n) = digits(keys(0)) {
        return match keys(1) {
            "dozen" => Some((n * 12, 2)),
            "hundred" if n < 10 => Some((n * 100, 2)),
            _ => Some((n, 1)),
        };
    }
    match (keys(0), keys(1), keys(2)) {
        ("half", "a", "dozen") => return Some((6, 3)),
        ("a", "dozen", _) => return Some((12, 2)),
        ("dozen", ..) => return Some((12, 1)),
        ("a", "hundred", _) => return Some((100, 2)),
        ("hundred", ..) => return Some((100, 1)),
        _ => {}
    }
    let (n, len) = below_hundred(&keys)?;
    match keys(len) {
        "dozen" => Some((n * 12, len + 1)),
        "hundred" if (1..=9).contains(&n) => {
            let skip = len + 1 + usize::from(keys(len + 1) == "and");
            match below_hundred(|i| keys(skip + i)) {
                Some((rest, more)) => Some((n * 100 + rest, skip + more)),
                None => Some((n * 100, len + 1)),
            }
        }
        _ => Some((n, len)),
    }
}

/// Seconds in a unit of time.
fn unit_seconds(key: &str) -> Option<i64> {
    match key {
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(3600),
        "d" | "day" | "days" => Some(86_400),
        "w" | "week" | "weeks" => Some(604_800),
        _ => None,
    }
}

/// `10m`, `1h30m`, `90s`, also `10min`.
pub(super) fn compact_duration(key: &str) -> Option<i64> {
    let mut rest = key;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(count)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = tail.split_at_checked(letters)?;
        total = total.checked_add(digits(number)?.checked_mul(unit_seconds(unit)?)?)?;
        rest = after;
    }
    (total > 0).then_some(total)
}

/// A unit of time with a typing error in it, which only a number before it makes one.
fn near_unit(key: &str) -> Option<i64> {
    ["seconds", "second", "minutes", "minute", "hours", "weeks"]
        .into_iter()
        .find(|unit| super::typo::is_near(key, &[*unit]))
        .and_then(unit_seconds)
}

/// A length of time in seconds: `10 minutes`, `an hour`, `half an hour`, `1h30m`, `hour`.
pub(super) fn duration<'k>(keys: impl Fn(usize) -> &'k str) -> Option<(i64, usize)> {
    if let Some(seconds) = compact_duration(keys(0)) {
        return Some((seconds, 1));
    }
    if keys(0) == "half" && matches!(keys(1), "a" | "an") {
        return Some((unit_seconds(keys(2))? / 2, 3));
    }
    if keys(0) == "half" {
        return Some((unit_seconds(keys(1))? / 2, 2));
    }
    if matches!(keys(0), "a" | "an") {
        return Some((unit_seconds(keys(1))?, 2));
    }
    if let Some((n, len)) = number(&keys) {
        let unit = unit_seconds(keys(len)).or_else(|| near_unit(keys(len)));
        let total = n.checked_mul(unit?)?;
        return (total > 0).then_some((total, len + 1));
    }
    match keys(0) {
        long @ ("second" | "minute" | "hour" | "day" | "week") => Some((unit_seconds(long)?, 1)),
        _ => None,
    }
}

/// What a quantity measures, as far as its unit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Cpu,
    Memory,
    /// `500m`: CPU unless memory is said, and then almost surely an error.
    Milli,
    /// No unit.
    Plain,
}

/// A quantity in Kubernetes' own writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) text: String,
    pub(super) measure: Measure,
}

fn is_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let ok = |s: &str| !s.is_empty() && s.len() <= 12 && s.bytes().all(|b| b.is_ascii_digit());
    ok(whole) && ok(part)
}

/// The suffix of a unit of memory. Case decides only where people mean it (`M` and `Mi`, never `m`).
fn memory_unit(unit: &str) -> Option<&'static str> {
    match unit {
        "K" => Some("k"),
        "M" => Some("M"),
        "G" | "g" => Some("G"),
        "T" => Some("T"),
        _ => match unit.to_lowercase().as_str() {
            "ki" | "kib" | "kibibyte" | "kibibytes" => Some("Ki"),
            "mi" | "mib" | "mebibyte" | "mebibytes" => Some("Mi"),
            "gi" | "gib" | "gibibyte" | "gibibytes" => Some("Gi"),
            "ti" | "tib" | "tebibyte" | "tebibytes" => Some("Ti"),
            "kb" | "kilobyte" | "kilobytes" => Some("k"),
            "mb" | "megabyte" | "megabytes" => Some("M"),
            "gb" | "gigabyte" | "gigabytes" => Some("G"),
            "tb" | "terabyte" | "terabytes" => Some("T"),
            _ => None,
        },
    }
}

fn with_unit(number: &str, unit: &str) -> Option<Quantity> {
    if !is_decimal(number) {
        return None;
    }
    let (text, measure) = match unit.to_lowercase().as_str() {
        "" => (number.to_owned(), Measure::Plain),
        "core" | "cores" | "cpu" | "cpus" | "vcpu" | "vcpus" => (number.to_owned(), Measure::Cpu),
        "millicore" | "millicores" | "millicpu" | "millicpus" | "mcpu" => {
            (format!("{number}m"), Measure::Cpu)
        }
        _ if unit == "m" => (format!("{number}m"), Measure::Milli),
        _ => (format!("{number}{}", memory_unit(unit)?), Measure::Memory),
    };
    Some(Quantity { text, measure })
}

/// A quantity of CPU or memory at the first token; `text` gives tokens as written, `keys` in lower case.
pub(super) fn quantity<'k>(
    keys: impl Fn(usize) -> &'k str,
    text: impl Fn(usize) -> &'k str,
) -> Option<(Quantity, usize)> {
    if keys(0) == "half" && matches!(keys(1), "a" | "an") && matches!(keys(2), "core" | "cpu") {
        return Some((
            Quantity {
                text: "500m".to_owned(),
                measure: Measure::Cpu,
            },
            3,
        ));
    }
    let first = text(0);
    let count = first
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let (number_text, unit) = first.split_at_checked(count)?;
    if !number_text.is_empty() && !unit.is_empty() {
        return Some((with_unit(number_text, unit)?, 1));
    }
    let (plain, len) = if is_decimal(number_text) {
        (number_text.to_owned(), 1)
    } else {
        let (n, len) = number(&keys)?;
        (n.to_string(), len)
    };
    let next = text(len);
    let measured = !next.is_empty() && next.len() > 1;
    match with_unit(&plain, next).filter(|q| measured && q.measure != Measure::Plain) {
        Some(found) => Some((found, len + 1)),
        None => Some((with_unit(&plain, "")?, len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'t, T>(text: &'t str, f: impl Fn(&dyn Fn(usize) -> &'t str) -> T) -> T {
        let words: Vec<&'t str> = text.split(' ').collect();
        f(&|i| words.get(i).copied().unwrap_or(""))
    }

    #[test]
    fn reads_numbers_in_digits_and_words() {
        let cases = [
            ("5", Some((5, 1))),
            ("1,000", Some((1000, 1))),
            ("zero", Some((0, 1))),
            ("twenty five", Some((25, 2))),
            ("ninety-nine", Some((99, 1))),
            ("a dozen", Some((12, 2))),
            ("half a dozen", Some((6, 3))),
            ("two dozen", Some((24, 2))),
            ("one hundred and five", Some((105, 4))),
            ("a hundred", Some((100, 2))),
            ("-3", None),
            ("2.5", None),
            ("99999999999", None),
            ("fiveish", None),
        ];
        for (text, want) in cases {
            assert_eq!(with(text, |k| number(k)), want, "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        let cases = [
            ("10 minutes", Some((600, 2))),
            ("1h30m", Some((5400, 1))),
            ("an hour", Some((3600, 2))),
            ("half an hour", Some((1800, 3))),
            ("hour", Some((3600, 1))),
            ("two days", Some((172_800, 2))),
            ("0s", None),
            ("10 parsecs", None),
        ];
        for (text, want) in cases {
            assert_eq!(with(text, |k| duration(k)), want, "{text}");
        }
    }

    #[test]
    fn reads_quantities_only_where_sure() {
        let cases = [
            ("512Mi", Some(("512Mi", Measure::Memory))),
            ("1 GiB", Some(("1Gi", Measure::Memory))),
            ("256 megabytes", Some(("256M", Measure::Memory))),
            ("500m", Some(("500m", Measure::Milli))),
            ("2 cores", Some(("2", Measure::Cpu))),
            ("half a core", Some(("500m", Measure::Cpu))),
            ("1.5", Some(("1.5", Measure::Plain))),
            ("250 millicores", Some(("250m", Measure::Cpu))),
            ("2 gigs", Some(("2", Measure::Plain))),
            ("5x", None),
            ("1..2", None),
        ];
        for (text, want) in cases {
            let got = with(text, |k| quantity(k, k)).map(|(q, _)| (q.text, q.measure));
            assert_eq!(got, want.map(|(t, m)| (t.to_owned(), m)), "{text}");
        }
    }
}
