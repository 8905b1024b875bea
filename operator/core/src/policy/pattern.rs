//! Patterns of `matches()`: compiled once, and how much of one the engine may have to keep track of at once.
//!
//! The engine (crate `regex`) makes the states of an automaton as it needs them and keeps them in a cache, so that it mostly
//! looks at each byte once. A pattern with more states than the cache holds has it give that up, and follow every place
//! of the pattern that the text may have reached, byte by byte; so has one with a word border of Unicode, at the first byte
//! of a text that is not ASCII. How many places there are, each as often as it takes as long as one, is the pattern's
//! [`width`].

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Bytes of a compiled pattern at most.
const MAX_PATTERN: usize = 64 * 1024;
/// Bytes of the cache of one pattern.
const CACHE: usize = 256 * 1024;
/// Patterns of so many places have few enough states for the cache.
const CACHED: u64 = 12;
/// Bytes of a text that are matched at the cost of one step, where each is looked at once; and places looked at.
const MATCHED_A_STEP: u64 = 8;
/// A class of so many ranges is wide, as `\w` and `\pL` are; `\d`, `\s` and `.` are not.
const MANY_RANGES: usize = 100;
/// As many places takes a wide class: its first byte alone leads to dozens of others (measured: 1.4).
const WIDE: u64 = 2;
/// As many places takes a word border of Unicode: the characters on both sides are read and looked up, at each byte
/// (measured: 1.5 to 4).
const BORDER: u64 = 4;
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
/// the pattern is tried at the beginning only and goes one way. What is never cached has none to spare.
fn width(pattern: &Hir) -> u64 {
    if pattern.properties().look_set().contains_word_unicode() {
        return places(pattern).saturating_add(CACHED);
    }
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
        HirKind::Empty => 1,
        HirKind::Look(look) => border(*look),
        // A match is tried at each byte, so also where the text is in the middle of another character of the class.
        HirKind::Class(Class::Unicode(class)) if class.ranges().len() > MANY_RANGES => 2 * WIDE,
        HirKind::Class(Class::Unicode(class)) if !class.is_ascii() => 2,
        HirKind::Class(Class::Unicode(_) | Class::Bytes(_)) => 1,
        HirKind::Literal(text) => u64::try_from(text.0.len()).unwrap_or(u64::MAX),
        // Its beginning and its end together take as long as one.
        HirKind::Capture(inner) => places(&inner.sub).saturating_add(1),
        HirKind::Repetition(all) => {
            let times = all.max.unwrap_or(all.min.max(1)).max(1);
            let endless = all.max.is_none() && all.sub.properties().minimum_len() == Some(0);
            places(&all.sub)
                .saturating_add(1)
                .saturating_mul(times.into())
                .saturating_add(u64::from(endless))
        }
        HirKind::Concat(parts) => sum(parts),
        HirKind::Alternation(parts) => {
            sum(parts).saturating_add(u64::try_from(parts.len()).unwrap_or(u64::MAX))
        }
    }
}

fn border(look: Look) -> u64 {
    match look {
        Look::WordUnicode
        | Look::WordUnicodeNegate
        | Look::WordStartUnicode
        | Look::WordEndUnicode
        | Look::WordStartHalfUnicode
        | Look::WordEndHalfUnicode => BORDER,
        Look::Start
        | Look::End
        | Look::StartLF
        | Look::EndLF
        | Look::StartCRLF
        | Look::EndCRLF
        | Look::WordAscii
        | Look::WordAsciiNegate
        | Look::WordStartAscii
        | Look::WordEndAscii
        | Look::WordStartHalfAscii
        | Look::WordEndHalfAscii => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::nfa::thompson::{NFA, State};

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
            ("(?:u?){300}", 900),
            ("(u?){300}", 1200),
            ("(?:(?:a{10}){10}){10}", 2110),
            ("(?:a*)*", 4),
            ("^[a-z]+-(?:eu|us)-[0-9]+$", 14),
            ("^[a-z]+-(eu|us)-[0-9]+$", 15),
            (r"\w", 2 * WIDE),
            (r"\pL", 2 * WIDE),
            (r"\d", 2),
            (".", 2),
            ("(?-u:\\w)", 1),
            (r"^\w$", 1),
            // Never cached, so nothing of it is spared.
            (r"\bprod\b", CACHED + 2 * BORDER + 4),
            (r"\Bprod", CACHED + BORDER + 4),
            (r"\b{start}prod", CACHED + BORDER + 4),
            (r"^prod\b", CACHED + 1 + 4 + BORDER),
            (r"(?-u:\b)prod", 5),
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
        assert!(of(r"\bprod\b") > 12 * 4096 / 8);
    }

    /// The most that the engine looks at for one byte of this text where it follows every place: states, each as often as it
    /// takes as long as one.
    fn followed(pattern: &str, text: &str) -> u64 {
        let nfa = NFA::new(pattern).unwrap();
        let (text, mut most, mut reached) = (text.as_bytes(), 0, vec![]);
        for at in 0..=text.len() {
            let mut open = std::mem::take(&mut reached);
            open.push(nfa.start_anchored());
            let (mut seen, mut work) = (std::collections::BTreeSet::new(), 0);
            while let Some(id) = open.pop() {
                if !seen.insert(id) {
                    continue;
                }
                let next = text.get(at).copied();
                work += match nfa.state(id) {
                    State::ByteRange { trans } => {
                        reached.extend(next.filter(|b| trans.matches_byte(*b)).map(|_| trans.next));
                        1
                    }
                    State::Sparse(ways) => {
                        reached.extend(next.and_then(|b| ways.matches_byte(b)));
                        if ways.transitions.len() > 16 { WIDE } else { 1 }
                    }
                    State::Dense(ways) => {
                        reached.extend(next.and_then(|b| ways.matches_byte(b)));
                        WIDE
                    }
                    State::Look { look, next } => {
                        if nfa.look_matcher().matches(*look, text, at) {
                            open.push(*next);
                        }
                        // As it is called where it is matched and where it is parsed.
                        if format!("{look:?}").contains("Unicode") {
                            BORDER
                        } else {
                            1
                        }
                    }
                    State::Union { alternates } => {
                        open.extend(alternates.iter());
                        1
                    }
                    State::BinaryUnion { alt1, alt2 } => {
                        open.extend([alt1, alt2]);
                        1
                    }
                    State::Capture { next, slot, .. } => {
                        open.push(*next);
                        u64::from(slot.as_usize() % 2 == 0)
                    }
                    State::Fail | State::Match { .. } => 1,
                };
            }
            most = most.max(work);
        }
        most
    }

    /// Patterns of all that can be written in one.
    fn patterns() -> impl Strategy<Value = String> {
        let pieces = [
            "a",
            "b",
            "ab",
            "[ab]",
            "é",
            "[éü]",
            r"\w",
            r"\d",
            r"\PL",
            ".",
            "[^a]",
            r"\b",
            r"\B",
            r"\b{start}",
            r"\b{end-half}",
            r"(?-u:\b)",
            "^",
            "$",
            "(?m:^)",
            "(?i:k)",
            "",
        ];
        let piece = prop::sample::select(pieces.to_vec()).prop_map(str::to_owned);
        piece.prop_recursive(3, 24, 3, |inner| {
            let times = prop::sample::select(vec!["*", "+", "?", "{3}", "{2,4}", "{2,}", "{0}", "*?"]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("(?:{a}|{b}|{c})")),
                inner.clone().prop_map(|a| format!("({a})")),
                (inner, times).prop_map(|(a, times)| format!("(?:{a}){times}")),
            ]
        })
    }

    proptest! {
        /// Beside the pattern's own places: where the whole match begins and ends, and that it is one.
        #[test]
        fn the_engine_never_looks_at_more_for_a_byte_than_the_places_that_are_counted(
            pattern in patterns(),
            text in "[abé1 ]{0,12}",
        ) {
            let counted = places(&regex_syntax::parse(&pattern).unwrap());
            let looked = followed(&pattern, &text);
            prop_assert!(looked <= counted + 3, "{looked} of {counted}");
        }

        #[test]
        fn more_pattern_or_text_never_costs_less(a in 0_u64..9000, b in 0_u64..9000, w in 0_u64..9000, v in 0_u64..9000) {
            prop_assert!(cost(a.min(b), w.min(v)) <= cost(a.max(b), w.max(v)));
        }
    }
}
