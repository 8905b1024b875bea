//! Texts made to be slow, by count of the bytes looked at and not by a clock.

use super::engine::find;
use super::work::{LOOKED, WORK_A_BYTE, Work};
use super::{Blocked, shown, structure};

/// What was found, and how many bytes were looked at for it, charged or not.
fn looked_at(text: &str) -> (Result<(), Blocked>, usize) {
    LOOKED.set(0);
    let found = find(text, true, &mut Work::for_text(text)).map(|_| ());
    (found, LOOKED.get())
}

/// `front`, then `unit` up to `bytes`, then `back`.
fn hostile(front: &str, unit: &str, back: &str, bytes: usize) -> String {
    format!("{front}{}{back}", unit.repeat(bytes / unit.len()))
}

const HOSTILE: &[(&str, &str, &str)] = &[
    ("", "pwd", ""),
    ("", "secret", ""),
    ("", "pwd-", ""),
    ("<", "pwd.", ""),
    ("pwd for ", "pwd", ""),
    ("", "token=", ""),
    ("", "token=<", ""),
    ("", "cookie:a=$", ""),
    ("", "sk-", ""),
    ("", "xoxb-", "!"),
    ("", "eyJ", ""),
    ("", "eyJeyJ", ""),
    ("", "eyJ", ".."),
    ("", "eyJ", ".eyJ"),
    ("", "$ANSIBLE_VAULT;1.1;AES256", ""),
    ("", "{a\"b\"", ""),
    ("", "{a\\\"", ""),
    ("", "{k: a\\\"", "\""),
    ("", "{k: 'a\\'", "\\"),
    ("\"", " x\\\"", "\""),
    ("", "k: \"\\\n", ""),
    ("", "k: '\na: \"\\\n", ""),
    ("", "aws", "="),
    ("", "aws=", ""),
    ("", "[", ""),
    ("", "- ", ""),
    ("", "{\"a\":", ""),
    ("", "%41", ""),
    ("", "env: {a: ", ""),
    ("data:\n", " a: b\n", ""),
];

#[test]
fn a_text_made_to_be_slow_costs_what_its_length_allows_or_is_blocked() {
    let mut slow = vec![];
    for (front, unit, back) in HOSTILE {
        let [(_, once), (_, twice)] =
            [131_072, 262_144].map(|bytes| looked_at(&hostile(front, unit, back, bytes)));
        // What is looked at before it is charged, and a value that is judged by several measures.
        if twice > 262_144 * WORK_A_BYTE * 4 || twice > once * 5 / 2 + 4096 {
            slow.push((front, unit, back, once, twice));
        }
    }
    assert_eq!(slow, vec![]);
}

#[test]
fn json_cut_after_each_quote_and_beginnings_of_tokens_are_read_once_and_not_blocked() {
    for unit in ["{a\\\"", "{k: a\\\"", "eyJeyJ", "{a\"", "[\"", "k: {a\\\"\n"] {
        let text = unit.repeat(262_144 / unit.len());
        let (found, looked) = looked_at(&text);
        assert_eq!(found, Ok(()), "{unit}");
        assert!(looked < text.len() * 24, "{unit}: {looked} of {}", text.len());
    }
}

#[test]
fn a_structure_that_takes_too_much_work_is_blocked() {
    let text = "env: [{name: a, value: b}]\n".repeat(40);
    assert!(structure::find(&text, &mut Work::of(text.len() * WORK_A_BYTE)).is_ok_and(|f| f.len() == 40));
    for units in [0, 1, text.len(), 3 * text.len()] {
        assert_eq!(
            structure::find(&text, &mut Work::of(units)),
            Err(Blocked::TooMuchWork),
            "{units}"
        );
    }
}

#[test]
fn a_string_ends_where_it_ends_however_often_it_is_asked_for() {
    // The quotes of each kind, escaped ones and those that stand after what was escaped.
    for text in [
        r#"{"a\"b": "p\"q", password: "hunter2-HUNTER"}"#,
        r#"{a\"{"password": "hunter2-HUNTER"}"#,
        r#"{'a\'{"b\"": 1, 'password': 'hunter2-HUNTER'}"#,
        r#"{"a": "\\", "password": "hunter2-HUNTER"}"#,
        r#"{"a": "\\\"", 'b': '"', "password": "hunter2-HUNTER"}"#,
    ] {
        assert!(!shown(text).contains("hunter2"), "{text}: {}", shown(text));
    }
}

#[test]
fn a_string_that_ends_after_a_backslash_is_read_once() {
    // Each escape after it once read the whole string again, and kept a copy.
    let text = format!("\"{}\\\"\\\\\"{}", "a".repeat(4096), " x\\\"".repeat(512));
    assert!(structure::nested(&text).len() <= 2);
    let (_, looked) = looked_at(&text);
    assert!(looked < text.len() * WORK_A_BYTE, "{looked}");
}

#[test]
fn a_text_full_of_masks_true_or_cut_is_read_to_its_end() {
    for text in [
        "[REDACTED:password:1] password ",
        "[REDACTED:",
        "[REDACTED:password:",
    ] {
        let text = text.repeat(200_000 / text.len());
        // Each took minutes here once; what a large text costs is measured by the bench.
        assert_eq!(super::find(&text), Ok(vec![]));
    }
}

#[test]
fn a_text_of_beginnings_of_keys_is_blocked_and_not_read_once_for_each() {
    let text = "sk-".repeat(5_000);
    assert_eq!(super::find(&text), Err(Blocked::TooMuchWork));
    // As many of them as somebody may speak of are no work.
    assert_eq!(super::find("keys begin with sk-, sk-, sk- or sk-"), Ok(vec![]));
}

#[test]
fn a_text_that_is_too_much_work_is_blocked() {
    assert_eq!(
        find(&"password ".repeat(200), false, &mut Work::of(1000)),
        Err(Blocked::TooMuchWork)
    );
}

#[test]
fn a_name_as_long_as_a_name_may_be_still_speaks_for_its_value() {
    for length in [100, 255, 300, 2000] {
        let long = "x".repeat(length);
        for text in [
            format!("--{long}-password Hunter2Hunter2 "),
            format!("<{long}.password>Hunter2Hunter2</{long}.password>"),
        ] {
            assert!(!shown(&text).contains("Hunter2"), "{text}");
        }
    }
    let long = "x".repeat(100);
    for text in [
        format!("password_{} = Hunter2Hunter2", "x".repeat(23)),
        format!("the password for {long} is Hunter2Hunter2"),
    ] {
        assert!(!shown(&text).contains("Hunter2"), "{text}");
    }
}
