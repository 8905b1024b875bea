//! From prompt to tokens with byte spans.
//!
//! [`clean`] drops what a person cannot see (and remembers it), [`tokens`] splits what is left. Nothing here knows
//! words. **Invariant:** every span is a byte range of the original prompt, and both functions are linear in its length.

/// A prompt without invisible characters, and where each remaining byte stood in the original.
#[derive(Debug, Default)]
pub(super) struct Clean {
    /// The visible text.
    pub(super) text: String,
    /// Byte offset in the original for each byte of `text`, and one past the end.
    offsets: Vec<usize>,
    /// Each kind of dropped character once, in order of appearance.
    pub(super) invisible: Vec<char>,
    /// How many characters were dropped.
    pub(super) dropped: usize,
    /// The first control character other than tab and line ends. It makes the prompt refused.
    pub(super) control: Option<char>,
}

impl Clean {
    /// The original byte offset of a byte of the clean text.
    pub(super) fn original(&self, at: usize) -> usize {
        self.offsets.get(at).or(self.offsets.last()).copied().unwrap_or(0)
    }
}

/// Zero-width, bidirectional, tag and other default-ignorable characters.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Invisible characters that are part of no word and no emoji.
pub(super) fn is_deceptive(c: char) -> bool {
    let joins = matches!(c, '\u{200C}'..='\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}');
    is_invisible(c) && !joins
}

/// Drops invisible characters and makes quotes, blanks and line ends plain.
pub(super) fn clean(prompt: &str) -> Clean {
    let mut out = Clean::default();
    for (at, c) in prompt.char_indices() {
        if is_invisible(c) {
            out.dropped += 1;
            if !out.invisible.contains(&c) && out.invisible.len() < 16 {
                out.invisible.push(c);
            }
            continue;
        }
        let plain = match c {
            '\u{2018}' | '\u{2019}' | '\u{02BC}' | '\u{00B4}' => '\'',
            '\u{201C}' | '\u{201D}' | '\u{00AB}' | '\u{00BB}' => '"',
            '\u{2028}' | '\u{2029}' | '\u{0085}' => '\n',
            '\r' | '\t' => ' ',
            c if c != '\n' && c.is_whitespace() => ' ',
            c => c,
        };
        if plain.is_control() && plain != '\n' {
            out.control.get_or_insert(plain);
        }
        let from = out.text.len();
        out.text.push(plain);
        out.offsets.extend(std::iter::repeat_n(at, out.text.len() - from));
    }
    out.offsets.push(prompt.len());
    out
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A run of letters, digits and joining characters.
    Word,
    /// Text that stood in quotes: a name or a value, never a word of the grammar.
    Quoted,
    /// Punctuation.
    Mark,
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// As written, without quotes.
    pub(super) text: String,
    /// What the grammar compares: lower case for words and marks, empty for quoted text.
    pub(super) key: String,
    /// Byte range in the clean text.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    /// What it is.
    pub(super) shape: Shape,
}

/// Words that are two words: contractions and their forms without an apostrophe.
const CONTRACTIONS: &[(&str, &str, &str)] = &[
    ("what's", "what", "is"),
    ("whats", "what", "is"),
    ("what're", "what", "are"),
    ("how's", "how", "is"),
    ("hows", "how", "is"),
    ("where's", "where", "is"),
    ("who's", "who", "is"),
    ("which's", "which", "is"),
    ("there's", "there", "is"),
    ("that's", "that", "is"),
    ("it's", "it", "is"),
    ("anything's", "anything", "is"),
    ("everything's", "everything", "is"),
];

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    base: usize,
    out: Vec<Token>,
}

/// Splits a part of the clean text that begins at byte `base` of it.
pub(super) fn tokens(text: &str, base: usize) -> Vec<Token> {
    let mut scanner = Scanner {
        text,
        at: 0,
        base,
        out: Vec::new(),
    };
    while let Some(c) = scanner.peek() {
        scanner.step(c);
    }
    scanner.out
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn after(&self, c: char) -> Option<char> {
        self.text.get(self.at + c.len_utf8()..)?.chars().next()
    }

    fn push(&mut self, text: &str, start: usize, shape: Shape) {
        let key = match shape {
            Shape::Word | Shape::Mark => text.to_lowercase(),
            Shape::Quoted => String::new(),
        };
        let (start, end) = (self.base + start, self.base + self.at);
        self.out.push(Token {
            text: text.to_owned(),
            key,
            start,
            end,
            shape,
        });
    }

    fn step(&mut self, c: char) {
        let start = self.at;
        match c {
            ' ' => self.at += 1,
            '"' | '\'' | '`' => self.quoted(c),
            ',' | ';' | '?' | '!' | ':' | '(' | ')' | '\n' => {
                self.at += 1;
                self.push(&c.to_string(), start, Shape::Mark);
            }
            '.' | '…' | '—' | '–' => self.dots(c),
            _ => self.word(),
        }
    }

    /// A full stop ends a sentence; several, or a dash, are a pause.
    fn dots(&mut self, first: char) {
        let start = self.at;
        let mut count = 0;
        while let Some(c @ ('.' | '…' | '—' | '–')) = self.peek() {
            self.at += c.len_utf8();
            count += 1;
        }
        let mark = if first == '.' && count == 1 { "." } else { "—" };
        self.push(mark, start, Shape::Mark);
    }

    fn quoted(&mut self, quote: char) {
        let start = self.at;
        let rest = self.text.get(start + 1..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        self.at += 1;
        if let Some(len) = line.find(quote).filter(|&len| len > 0) {
            self.at += len + 1;
            let inner = line.get(..len).unwrap_or_default().to_owned();
            self.push(&inner, start, Shape::Quoted);
            self.possessive();
        }
    }

    /// `'s` right after a token.
    fn possessive(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let ends = rest
            .get(2..)
            .is_some_and(|r| !r.starts_with(char::is_alphanumeric));
        if (rest.starts_with("'s") || rest.starts_with("'S")) && ends {
            let start = self.at;
            self.at += 2;
            self.push("'s", start, Shape::Mark);
        }
    }

    fn word(&mut self) {
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if !text.is_empty() && self.word_ends(&text, c) {
                break;
            }
            if matches!(c, '"' | '\'' | '`')
                && text.ends_with(['=', ':'])
                && self.value_in_quotes(&mut text, c)
            {
                continue;
            }
            text.push(c);
            self.at += c.len_utf8();
        }
        self.finish_word(&text, start);
    }

    fn word_ends(&self, text: &str, c: char) -> bool {
        let next = self.after(c);
        let glued =
            next.is_some_and(|n| !n.is_whitespace() && !matches!(n, '"' | '\'' | '`' | ')' | ',' | ';'));
        match c {
            ' ' | '\n' | ';' | '(' | ')' | '…' | '—' | '–' => true,
            '"' | '`' => !text.ends_with('='),
            '\'' => !glued && !text.ends_with('='),
            '?' => true,
            '!' => next != Some('='),
            '.' | ':' => !glued || matches!(next, Some('.' | '?' | '!' | ':')),
            ',' => !(glued && (text.contains('=') || self.groups_digits(text))),
            _ => false,
        }
    }

    /// `1,000`: a comma between digits, three of them after it.
    fn groups_digits(&self, text: &str) -> bool {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits == 3 && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit())
    }

    /// `note="two words"`: the quoted value belongs to the word.
    fn value_in_quotes(&mut self, text: &mut String, quote: char) -> bool {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let Some(len) = line.find(quote) else { return false };
        text.push_str(line.get(..len).unwrap_or_default());
        self.at += len + 2;
        true
    }

    fn finish_word(&mut self, text: &str, start: usize) {
        let lower = text.to_lowercase();
        if let Some((_, first, second)) = CONTRACTIONS.iter().find(|(whole, ..)| *whole == lower) {
            self.push(first, start, Shape::Word);
            self.push(second, start, Shape::Word);
            return;
        }
        if text == "-" || text == "--" {
            self.push("—", start, Shape::Mark);
            return;
        }
        let stem = text.strip_suffix("'s").or_else(|| text.strip_suffix("'S"));
        match stem {
            Some(stem) if !stem.is_empty() && lower != "let's" => {
                self.push(stem, start, Shape::Word);
                self.push("'s", start, Shape::Mark);
            }
            Some(_) | None => self.push(text, start, Shape::Word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        tokens(text, 0).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn splits_words_marks_and_quotes() {
        let cases: &[(&str, &[&str])] = &[
            (
                "scale web to 5, please.",
                &["scale", "web", "to", "5", ",", "please", "."],
            ),
            ("nginx:1.28.", &["nginx:1.28", "."]),
            ("web,api", &["web", ",", "api"]),
            ("-l a=b,c=d", &["-l", "a=b,c=d"]),
            ("1,000 pods", &["1,000", "pods"]),
            ("delete 'web-1' now", &["delete", "web-1", "now"]),
            ("note=\"two words\" x", &["note=two words", "x"]),
            ("web's logs", &["web", "'s", "logs"]),
            ("what's up?", &["what", "is", "up", "?"]),
            ("to 3... no, 4", &["to", "3", "—", "no", ",", "4"]),
            ("a!=b", &["a!=b"]),
            ("", &[]),
        ];
        for (text, want) in cases {
            assert_eq!(&split(text), want, "{text}");
        }
    }

    #[test]
    fn drops_invisible_characters_and_keeps_original_offsets() {
        let cleaned = clean("sc\u{200b}ale \u{202e}web");
        assert_eq!(cleaned.text, "scale web");
        assert_eq!(cleaned.invisible, vec!['\u{200b}', '\u{202e}']);
        assert_eq!(cleaned.original(2), 5);
        assert_eq!(cleaned.original(9), "sc\u{200b}ale \u{202e}web".len());
    }

    #[test]
    fn reports_control_characters() {
        assert_eq!(clean("del\u{8}ete").control, Some('\u{8}'));
        assert_eq!(clean("a\tb\r\nc").control, None);
    }
}
