//! Pure statistics of the benches: medians, percentiles and bootstrap intervals.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

/// Samples drawn with replacement for an interval.
const RESAMPLES: usize = 10_000;
/// The part of the resampled medians left out at each end: 95 % stay.
const TAIL: f64 = 0.025;

/// A value with its 95 % interval; `low <= value <= high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    /// The median.
    pub(super) value: f64,
    /// Lower end of the interval.
    pub(super) low: f64,
    /// Upper end of the interval.
    pub(super) high: f64,
}

/// The middle value, or the mean of the two middle ones; `None` without values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The smallest value that at least `part` (0 to 1) of all values do not exceed (nearest rank); `None` without
/// values.
pub(super) fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (part.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The median with the percentile bootstrap interval; the same seed gives the same interval. `None` without
/// values.
pub(super) fn estimate(values: &[f64], seed: u64) -> Option<Estimate> {
    let value = median(values)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut draw = || {
        let drawn =
            (0..values.len()).filter_map(|_| values.get(random.random_range(0..values.len())).copied());
        median(&drawn.collect::<Vec<f64>>())
    };
    let medians: Vec<f64> = (0..RESAMPLES).filter_map(|_| draw()).collect();
    Some(Estimate {
        value,
        low: percentile(&medians, TAIL)?.min(value),
        high: percentile(&medians, 1.0 - TAIL)?.max(value),
    })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        let cases: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[7.0], Some(7.0)),
            (&[3.0, 1.0], Some(2.0)),
            (&[9.0, 1.0, 5.0], Some(5.0)),
            (&[4.0, 1.0, 3.0, 2.0], Some(2.5)),
        ];
        for (values, expected) in cases {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let cases = [
            (0.0, 1.0),
            (0.5, 5.0),
            (0.51, 6.0),
            (0.95, 10.0),
            (1.0, 10.0),
            (2.0, 10.0),
            (-1.0, 1.0),
        ];
        for (part, expected) in cases {
            assert_eq!(percentile(&ten, part), Some(expected), "{part}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn the_interval_is_the_same_for_the_same_seed_and_narrow_for_equal_values() {
        let values = [0.5, 0.6, 0.4, 0.55, 0.52, 0.7];
        assert_eq!(estimate(&values, 1), estimate(&values, 1));
        let (value, low, high) = (3.0, 3.0, 3.0);
        assert_eq!(estimate(&[3.0; 5], 9), Some(Estimate { value, low, high }));
        assert_eq!(estimate(&[], 1), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_median_and_stays_within_the_values(
            values in prop::collection::vec(0.0..1e6_f64, 1..12), seed: u64,
        ) {
            let found = estimate(&values, seed).unwrap();
            let (least, most) = (percentile(&values, 0.0).unwrap(), percentile(&values, 1.0).unwrap());
            prop_assert!(least <= found.low && found.low <= found.value);
            prop_assert!(found.value <= found.high && found.high <= most);
        }

        #[test]
        fn a_larger_part_never_has_a_smaller_percentile(
            values in prop::collection::vec(-1e3..1e3_f64, 1..50), a in 0.0..1.0_f64, b in 0.0..1.0_f64,
        ) {
            prop_assert!(percentile(&values, a.min(b)) <= percentile(&values, a.max(b)));
        }
    }
}
