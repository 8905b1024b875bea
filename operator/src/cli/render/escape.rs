//! Text of users and clusters, made safe for a terminal.
//!
//! **Invariant:** what comes out holds no control character (so no ANSI sequence), and no character that is
//! invisible or turns the order of what is read: each stands as `\u{..}`. Everything printed passes here, through
//! [`super::Page`] and [`super::table`].

use std::borrow::Cow;
use std::fmt::Write;

/// Spaces a tab becomes where lines are kept.
const TAB: &str = "    ";

/// Escapes a text and keeps its line breaks; tabs become spaces.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

/// Escapes a text into one line: line breaks and tabs stand as `\n` and `\t`.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// JSON with every unsafe character of its strings written as `\uXXXX`: the same value, safe to look at.
/// Takes JSON as serde_json writes it, where such characters stand in strings only.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    if !json.contains(|c| c != '\n' && unsafe_to_show(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c == '\n' || !unsafe_to_show(c) {
            out.push(c);
            continue;
        }
        let mut units = [0_u16; 2];
        for unit in c.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// Whether the text could be shown as it is (line breaks aside).
pub(crate) fn is_safe(text: &str) -> bool {
    !text.contains(|c| c != '\n' && unsafe_to_show(c))
}

fn escape(text: &str, keep_lines: bool) -> Cow<'_, str> {
    if !text.contains(unsafe_to_show) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if keep_lines => out.push('\n'),
            '\t' if keep_lines => out.push_str(TAB),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if unsafe_to_show(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, and what Unicode calls format characters or ignorable by
/// default: zero-width, bidirectional, tags, variation selectors. A test compares the list with Unicode's tables.
fn unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}'..='\u{891}' | '\u{8E2}'
            | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Unicode's own tables: control, format, separators of lines, ignorable by default.
    fn dangerous() -> regex::Regex {
        regex::Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").unwrap()
    }

    #[test]
    fn every_character_unicode_calls_invisible_is_escaped_and_no_other_letter() {
        let dangerous = dangerous();
        let mut buffer = [0; 4];
        for c in '\0'..=char::MAX {
            let found = dangerous.is_match(c.encode_utf8(&mut buffer));
            assert!(!found || unsafe_to_show(c), "{c:?} would reach the terminal");
        }
        for plain in [
            'a', 'ä', 'ß', '漢', '🚀', 'é', '\u{301}', 'क', ' ', '~', '"', '\\',
        ] {
            assert!(!unsafe_to_show(plain), "{plain:?}");
        }
    }

    #[test]
    fn escapes_ansi_bidi_tags_and_zero_width() {
        for (bad, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
            ("hi\u{e0041}", "hi\\u{e0041}"),
            ("bell\u{7}\r\u{8}", "bell\\u{7}\\u{d}\\u{8}"),
            ("\u{2028}", "\\u{2028}"),
        ] {
            assert_eq!(text(bad), shown);
            assert_eq!(line(bad), shown);
        }
        assert_eq!(text("a\n\tb"), "a\n    b");
        assert_eq!(line("a\n\tb"), "a\\n\\tb");
        assert!(matches!(text("plain"), Cow::Borrowed("plain")));
    }

    proptest! {
        #[test]
        fn nothing_dangerous_ever_comes_out(input in any::<String>()) {
            let dangerous = dangerous();
            prop_assert!(!dangerous.is_match(&line(&input)));
            prop_assert!(!dangerous.is_match(&text(&input).replace('\n', "")));
            prop_assert!(is_safe(&text(&input)));
            prop_assert!(is_safe(&input) || line(&input) != input);
        }

        #[test]
        fn escaped_json_is_the_same_value(input in any::<String>()) {
            let value = serde_json::json!({ "text": input, input.clone(): 1 });
            let plain = serde_json::to_string_pretty(&value).unwrap();
            let shown = json(&plain);
            prop_assert!(is_safe(&shown));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
