//! From objects to text. Pure: no clock, no terminal, no cluster; what they are is passed in.
//!
//! **Invariants:** every text is escaped ([`escape`]) on its way into a [`Page`] or a [`table`], and only these two
//! write colour, chosen by code and never by data. Called by the commands, which print what comes out.

pub(crate) mod answer;
pub(crate) mod escape;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod status;
pub(crate) mod table;

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use textwrap::{WordSplitter, WrapAlgorithm};

/// Narrowest width that is wrapped to; narrower terminals wrap by themselves.
const MIN_WIDTH: usize = 40;

/// What the output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal; `None` where there is none, and nothing is wrapped.
    pub(crate) width: Option<usize>,
    /// Whether to colour.
    pub(crate) color: bool,
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ordinary.
    Plain,
    /// A heading.
    Strong,
    /// Of less weight.
    Faint,
    /// Done, added, allowed.
    Good,
    /// Needs care, waits for somebody.
    Warn,
    /// Refused, removed, failed.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Self::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            Self::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())),
        }
    }
}

/// Names the commands that a text recommends, as the reader must type them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hints {
    /// `kubechat` or `kubectl kubechat`.
    pub(crate) program: &'static str,
    /// Namespace of the turn.
    pub(crate) namespace: String,
    /// Connection flags this person gave, ready to append; empty for none.
    pub(crate) connection: String,
}

impl Hints {
    /// A command for this person.
    pub(crate) fn own(&self, words: &str) -> String {
        let Self {
            program,
            namespace,
            connection,
        } = self;
        format!("{program} {words} -n {namespace}{connection}")
    }

    /// A command for somebody else, who has a kubeconfig of his own.
    pub(crate) fn other(&self, words: &str) -> String {
        format!("{} {words} -n {}", self.program, self.namespace)
    }
}

/// Text under construction.
#[derive(Debug)]
pub(crate) struct Page<'l> {
    look: &'l Look,
    text: String,
}

impl<'l> Page<'l> {
    /// An empty page.
    pub(crate) fn new(look: &'l Look) -> Self {
        Self {
            look,
            text: String::new(),
        }
    }

    /// The text; ends with a line break unless it is empty.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// A paragraph: wrapped, its line breaks kept, every line indented.
    pub(crate) fn line(&mut self, indent: usize, tone: Tone, text: &str) {
        for part in escape::text(text).split('\n') {
            for piece in self.wrap(indent, part) {
                self.put(indent, &[(tone, &piece)]);
            }
        }
    }

    /// `label: text`, the following lines under the text.
    pub(crate) fn field(&mut self, indent: usize, label: &str, tone: Tone, text: &str) {
        let label = format!("{label}: ");
        let hanging = indent + label.len();
        let mut first = true;
        for part in escape::text(text).split('\n') {
            for piece in self.wrap(hanging, part) {
                if first {
                    self.put(indent, &[(Tone::Faint, &label), (tone, &piece)]);
                } else {
                    self.put(hanging, &[(tone, &piece)]);
                }
                first = false;
            }
        }
    }

    /// One line of several tones, never wrapped: headings, and commands that are to be copied.
    pub(crate) fn spans(&mut self, indent: usize, spans: &[(Tone, &str)]) {
        let escaped: Vec<_> = spans
            .iter()
            .map(|(tone, text)| (*tone, escape::line(text)))
            .collect();
        let spans: Vec<_> = escaped
            .iter()
            .map(|(tone, text)| (*tone, text.as_ref()))
            .collect();
        self.put(indent, &spans);
    }

    /// A table.
    pub(crate) fn table(&mut self, columns: &[&str], rows: &[Vec<String>]) {
        self.text
            .push_str(&table::table(self.look, columns, rows, |_, _| Tone::Plain));
    }

    /// An empty line, unless the page is empty or has one already.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn wrap(&self, indent: usize, text: &str) -> Vec<String> {
        let Some(width) = self.look.width else {
            return vec![text.to_owned()];
        };
        let room = width.max(MIN_WIDTH).saturating_sub(indent).max(MIN_WIDTH / 2);
        let options = textwrap::Options::new(room)
            .word_splitter(WordSplitter::NoHyphenation)
            .wrap_algorithm(WrapAlgorithm::FirstFit);
        textwrap::wrap(text, options)
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .collect()
    }

    /// Writes escaped pieces as one line.
    fn put(&mut self, indent: usize, spans: &[(Tone, &str)]) {
        let start = self.text.len();
        self.text.extend(std::iter::repeat_n(' ', indent));
        for (tone, piece) in spans {
            let style = tone.style();
            // Writing to a String cannot fail.
            let _ = if self.look.color && *tone != Tone::Plain && !piece.is_empty() {
                write!(self.text, "{style}{piece}{style:#}")
            } else {
                write!(self.text, "{piece}")
            };
        }
        let end = self.text.trim_end_matches(' ').len().max(start);
        self.text.truncate(end);
        self.text.push('\n');
    }
}

/// Length of time as kubectl writes ages: `45s`, `12m`, `3h`, `5d`.
pub(crate) fn short(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// Time that is left, to the minute where that matters: `90s`, `59m`, `7h 59m`, `3d`.
pub(crate) fn left(seconds: i64) -> String {
    match seconds {
        s @ 7200..172_800 => format!("{}h {}m", s / 3600, s % 3600 / 60),
        s => short(s),
    }
}

/// How long ago that was.
pub(crate) fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(
        || "-".to_owned(),
        |then| short(now.as_second() - then.as_second()),
    )
}

/// `one thing`, `2 things`.
pub(crate) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look {
        width: Some(40),
        color: false,
    };

    #[test]
    fn ages_read_like_kubectls() {
        for (seconds, shown) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7199, "119m"),
            (7200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(short(seconds), shown);
        }
        for (seconds, shown) in [(60, "60s"), (7199, "119m"), (28_799, "7h 59m"), (172_800, "2d")] {
            assert_eq!(left(seconds), shown);
        }
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "-");
    }

    #[test]
    fn long_text_wraps_under_itself_and_words_with_dashes_stay_whole() {
        let mut page = Page::new(&PLAIN);
        page.field(
            2,
            "why",
            Tone::Plain,
            "this is rather long for one line of --forty-columns\nnext",
        );
        assert_eq!(
            page.finish(),
            "  why: this is rather long for one line\n       of --forty-columns\n       next\n"
        );
    }

    #[test]
    fn nothing_is_wrapped_where_there_is_no_terminal() {
        let mut page = Page::new(&Look {
            width: None,
            color: false,
        });
        page.line(0, Tone::Bad, &"word ".repeat(100));
        assert_eq!(page.finish().lines().count(), 1);
    }

    #[test]
    fn colour_comes_from_the_tone_and_never_from_the_text() {
        let mut page = Page::new(&Look {
            width: None,
            color: true,
        });
        page.line(0, Tone::Bad, "\u{1b}[32mgreen");
        page.spans(0, &[(Tone::Plain, "a\nb"), (Tone::Good, "ok")]);
        assert_eq!(
            page.finish(),
            "\u{1b}[31m\\u{1b}[32mgreen\u{1b}[0m\na\\nb\u{1b}[32mok\u{1b}[0m\n"
        );
    }

    #[test]
    fn hints_carry_the_readers_own_connection_and_not_to_others() {
        let hints = Hints {
            program: "kubectl kubechat",
            namespace: "demo".into(),
            connection: " --context alice".into(),
        };
        assert_eq!(
            hints.own("watch a"),
            "kubectl kubechat watch a -n demo --context alice"
        );
        assert_eq!(hints.other("approve a"), "kubectl kubechat approve a -n demo");
    }
}
