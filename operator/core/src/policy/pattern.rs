//! Patterns of `matches()`: compiled once, and how much of one the engine may have to keep track of at once.
//!
//! The engine (crate `regex`) makes the states of an automaton as it needs them and keeps them in a cache, so that it mostly
//! looks at each byte once. A pattern with more states than the cache holds has it give that up, and follow every place
//! of the pattern that the text may have reached, byte by byte. How many places there are is the pattern's [`width`].

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind, Look};

/// Bytes of a compiled pattern at most.
const MAX_PATTERN: usize = 64 * 1024;
/// Bytes of the cache of one pattern.
const CACHE: usize = 256 * 1024;
/// Patterns of so many places have few enough states for the cache.
const CACHED: u64 = 12;
/// Bytes of a text that are matched at the cost of one step, where each is looked at once; and places looked at.
const MATCHED_A_STEP: u64 = 8;
/// What a match costs beside.
const BASE: u64 = 40;

/// A pattern and its width.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn compile(text: &str) -> Result<(Regex, u64), String> {
    let one_line = |why: String| why.replace('\n', " ");
    let compiled = RegexBuilder::new(text)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(CACHE)
        .build()
        .map_err(|e| one_line(e.to_string()))?;
    let parsed = regex_syntax::parse(text).map_err(|e| one_line(e.to_string()))?;
    Ok((compiled, width(&parsed)))
}

/// What matching a text of so many bytes with a pattern of this width costs at most.
pub(super) fn cost(bytes: u64, width: u64) -> u64 {
    let places = width.saturating_sub(CACHED).saturating_add(1);
    (bytes.saturating_mul(places) / MATCHED_A_STEP).saturating_add(BASE)
}

/// Places of a pattern that a text may have reached at once, at most: all of them, each repetition written out, or one where
/// the pattern is tried at the beginning only and goes one way.
fn width(pattern: &Hir) -> u64 {
    let straight = |part: &Hir| {
        matches!(
            part.kind(),
            HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_)
        )
    };
    if let HirKind::Concat(parts) = pattern.kind()
        && matches!(parts.first().map(Hir::kind), Some(HirKind::Look(Look::Start)))
        && parts.iter().all(straight)
    {
        return 1;
    }
    places(pattern)
}

fn places(pattern: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(places).fold(0, u64::saturating_add);
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) => 1,
        HirKind::Literal(text) => u64::try_from(text.0.len()).unwrap_or(u64::MAX),
        HirKind::Capture(inner) => places(&inner.sub),
        HirKind::Repetition(all) => {
            let times = all.max.unwrap_or(all.min.max(1)).max(1);
            places(&all.sub).saturating_add(1).saturating_mul(times.into())
        }
        HirKind::Concat(parts) => sum(parts),
        HirKind::Alternation(parts) => sum(parts).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_as_wide_as_it_is_with_its_repetitions_written_out() {
        for (text, want) in [
            ("", 1),
            ("abc", 3),
            ("abc$", 4),
            ("^abc$", 1),
            ("^registry.example.com/", 1),
            ("(?m)^abc$", 5),
            ("a?", 2),
            ("a{7}", 14),
            ("a{2,7}", 14),
            ("a{3,}", 6),
            ("(u?){300}", 900),
            ("((a{10}){10}){10}", 2110),
            ("^[a-z]+-(eu|us)-[0-9]+$", 13),
            (r"\w", 1),
        ] {
            assert_eq!(width(&regex_syntax::parse(text).unwrap()), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_in_one_line() {
        for bad in ["(", "a{1000000}", r"(?P<n>a)\1", "((a{100}){100}){100}"] {
            let why = compile(bad).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn what_people_write_costs_what_reading_each_byte_once_does_and_what_blows_up_costs_its_width() {
        let of = |text: &str| cost(4096, compile(text).unwrap().1);
        for narrow in ["^prod-.*$", "^sre-[a-z]+$", ":latest$", "^/spec/"] {
            assert_eq!(of(narrow), 40 + 4096 / 8, "{narrow}");
        }
        assert!(of("(u?){300}u{300}[^u]") > 300 * 4096 / 8);
        assert!(of("[ab]*a[ab]{40}c") > 40 * 4096 / 8);
    }

    proptest::proptest! {
        #[test]
        fn more_pattern_or_text_never_costs_less(a in 0_u64..9000, b in 0_u64..9000, w in 0_u64..9000, v in 0_u64..9000) {
            proptest::prop_assert!(cost(a.min(b), w.min(v)) <= cost(a.max(b), w.max(v)));
        }
    }
}
