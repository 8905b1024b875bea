//! A text without the characters nobody sees, and where each byte of it stood.

use std::borrow::Cow;

/// Zero-width and bidirectional characters, joiners, variation selectors and tags: they can stand within a secret
/// without changing how it looks.
const fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text as it looks.
#[derive(Debug)]
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, str>,
    /// Per byte of `text` where it stood; empty where both are the same.
    places: Vec<usize>,
    end: usize,
}

impl<'t> View<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let end = text.len();
        if text.is_ascii() || !text.chars().any(unseen) {
            return Self {
                text: Cow::Borrowed(text),
                places: vec![],
                end,
            };
        }
        let mut seen = String::with_capacity(end);
        let mut places = Vec::with_capacity(end);
        for (at, c) in text.char_indices().filter(|(_, c)| !unseen(*c)) {
            seen.push(c);
            places.extend(at..at + c.len_utf8());
        }
        Self {
            text: Cow::Owned(seen),
            places,
            end,
        }
    }

    /// Where a byte of the view stands in the text.
    pub(super) fn place(&self, at: usize) -> usize {
        if self.places.is_empty() {
            return at.min(self.end);
        }
        self.places.get(at).copied().unwrap_or(self.end)
    }

    /// Where a range of the view stands in the text, with what is unseen within it.
    pub(super) fn range(&self, start: usize, end: usize) -> (usize, usize) {
        if self.places.is_empty() {
            return (start, end);
        }
        let last = end.checked_sub(1).map_or(0, |last| self.place(last) + 1);
        (
            self.place(start),
            if end == start { self.place(start) } else { last },
        )
    }
}
