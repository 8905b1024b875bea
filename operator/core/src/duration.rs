//! Go durations (`8h`, `1h30m`, `45s`), as Kubernetes objects write them.

use std::time::Duration;

/// Parses a Go duration of whole units h, m, s, ms.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let step = match rest.get(..unit_end)? {
            "h" => Duration::from_secs(amount.checked_mul(3600)?),
            "m" => Duration::from_secs(amount.checked_mul(60)?),
            "s" => Duration::from_secs(amount),
            "ms" => Duration::from_millis(amount),
            _ => return None,
        };
        total = total.checked_add(step)?;
        rest = rest.get(unit_end..)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations_and_refuses_the_rest() {
        for (text, seconds) in [("8h", 28_800), ("1h30m", 5_400), ("90s", 90), ("0s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "8",
            "h",
            "1.5h",
            "-1h",
            "1d",
            "8h ",
            "99999999999999999999h",
            "1h30",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
