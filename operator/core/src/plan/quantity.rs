//! Kubernetes quantities, as far as they are compared: `20Gi`, `500m`, `1e3`.

/// A quantity in billionths, rounded up as the API server does; `None` when it is none.
#[must_use]
pub fn nano(text: &str) -> Option<i128> {
    const NANO: i128 = 1_000_000_000;
    let digits = text
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let (number, suffix) = text.split_at_checked(digits)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + part.len() == 0 || whole.len() + part.len() > 18 || part.contains('.') {
        return None;
    }
    let (up, down): (i128, i128) = match suffix {
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "" => (1, 1),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (NANO * 1000, 1),
        "P" => (NANO * 1_000_000, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => match suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? {
            power @ 0..=18 => (10_i128.checked_pow(power.unsigned_abs())?, 1),
            power @ -9..=-1 => (1, 10_i128.checked_pow(power.unsigned_abs())?),
            _ => return None,
        },
    };
    let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let value = digits.checked_mul(up)?.checked_mul(NANO)?;
    let below = scale.checked_mul(down)?;
    Some(value.checked_add(below - 1)? / below)
}

#[cfg(test)]
mod tests {
    use super::nano;

    #[test]
    fn quantities_are_compared_by_what_they_mean_and_not_as_text() {
        for (small, large) in [
            ("1Gi", "1025Mi"),
            ("1G", "1Gi"),
            ("500m", "0.6"),
            ("9Gi", "10Gi"),
            ("1e3", "1001"),
            ("0", "1n"),
        ] {
            assert!(nano(small).unwrap() < nano(large).unwrap(), "{small} {large}");
        }
        for (a, b) in [
            ("1024Mi", "1Gi"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("5E3", "5000"),
        ] {
            assert_eq!(nano(a), nano(b), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for bad in [
            "",
            "Gi",
            "-1Gi",
            "1 Gi",
            "1gi",
            "1..2",
            "1e99",
            "ten",
            "9999999999999999999Ei",
            "1.2.3",
        ] {
            assert_eq!(nano(bad), None, "{bad}");
        }
    }
}
