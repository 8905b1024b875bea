//! The terminal: where text goes, how it looks, and questions to the person.
//!
//! **Invariant:** with `-o json|yaml` stdout holds the object and nothing else. A closed pipe is no error.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kube::Resource;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::Cluster;
use super::error::CliError;
use super::render::{Hints, Look, Page, Tone, escape};
use crate::args::{ColorChoice, Connect, Format, Program};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);
/// Longest answer to a question, in bytes.
const MAX_REPLY: u64 = 4096;

/// What a person answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Nothing in time.
    TimedOut,
}

/// The terminal of one command.
pub(crate) struct Ui {
    format: Format,
    /// How text for people looks.
    pub(crate) look: Look,
    /// How commands are named.
    pub(crate) hints: Hints,
    spinner: Option<ProgressBar>,
    last_line: String,
}

impl Ui {
    /// For a command that works in this cluster's namespace.
    pub(crate) fn new(
        format: Format,
        color: ColorChoice,
        program: Program,
        connect: &Connect,
        cluster: &Cluster,
    ) -> Self {
        let hints = Hints {
            program: program.as_str(),
            namespace: cluster.namespace.clone(),
            connection: connection_flags(connect),
        };
        Self {
            format,
            look: look(format, color),
            hints,
            spinner: None,
            last_line: String::new(),
        }
    }

    /// Prints rendered text for people: to stdout, or to stderr when stdout is for the object.
    pub(crate) fn show(&self, rendered: &str) {
        let print = || match self.format {
            Format::Table => put(&mut std::io::stdout().lock(), rendered),
            Format::Json | Format::Yaml => put(&mut std::io::stderr().lock(), rendered),
        };
        match &self.spinner {
            Some(spinner) => spinner.suspend(print),
            None => print(),
        }
    }

    /// Prints one sentence for people.
    pub(crate) fn say(&self, tone: Tone, text: &str) {
        let mut page = Page::new(&self.look);
        page.line(0, tone, text);
        self.show(&page.finish());
    }

    /// Prints `label: command`, the command ready to copy.
    pub(crate) fn hint(&self, label: &str, command: &str) {
        let mut page = Page::new(&self.look);
        page.spans(
            0,
            &[(Tone::Faint, label), (Tone::Faint, ": "), (Tone::Plain, command)],
        );
        self.show(&page.finish());
    }

    /// Prints an object, where objects were asked for. Like kubectl without managedFields.
    pub(crate) fn emit<K: Resource + Serialize + Clone>(&self, object: &K) -> Result<(), CliError> {
        let mut object = object.clone();
        object.meta_mut().managed_fields = None;
        self.emit_value(&object)
    }

    /// Prints a value, where objects were asked for.
    pub(crate) fn emit_value<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        if let Some(text) = formatted(self.format, value)? {
            put(&mut std::io::stdout().lock(), &text);
        }
        Ok(())
    }

    /// Says what is going on: a spinner on a terminal, else a line whenever it changes.
    pub(crate) fn progress(&mut self, line: &str) {
        let line = escape::line(line);
        if line == self.last_line {
            return;
        }
        self.last_line = line.into_owned();
        if std::io::stderr().is_terminal() {
            self.spinner
                .get_or_insert_with(spinner)
                .set_message(self.last_line.clone());
        } else {
            put(&mut std::io::stderr().lock(), &format!("{}\n", self.last_line));
        }
    }

    /// Takes the spinner away.
    pub(crate) fn quiet(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        self.last_line.clear();
    }

    /// Whether there is a person to ask.
    pub(crate) fn interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks the person. The question is code's, not data's.
    pub(crate) async fn ask(&mut self, question: &str, deadline: Option<Instant>) -> Reply {
        self.quiet();
        // Listened for before the question stands there: a Ctrl-C in between would be lost, and the question wait on.
        let mut interrupts = Interrupts::listen();
        put(&mut std::io::stderr().lock(), &format!("{question} "));
        let (send, answer) = oneshot::channel();
        // A thread of its own, never joined: a read of stdin cannot be cancelled, and must not hold up the exit.
        std::thread::spawn(move || {
            // Nobody waits any more: fine.
            let _ = send.send(read_line());
        });
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let reply = tokio::select! {
            line = answer => Reply::Line(line.unwrap_or_default()),
            () = interrupts.next() => Reply::Interrupted,
            () = late => Reply::TimedOut,
        };
        if !matches!(reply, Reply::Line(_)) {
            put(&mut std::io::stderr().lock(), "\n");
        }
        reply
    }
}

/// Ctrl-C, from when it is listened for: one that comes while nobody waits for it is kept.
pub(crate) struct Interrupts(Option<Signal>);

impl Interrupts {
    /// Begins to listen. Where that cannot be, Ctrl-C ends the program as it ends every other.
    pub(crate) fn listen() -> Self {
        Self(signal(SignalKind::interrupt()).ok())
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Whether an answer means yes. Everything else means no.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn read_line() -> String {
    let mut line = String::new();
    // An unreadable stdin is no answer, and no answer is no.
    let _ = std::io::Read::take(std::io::stdin().lock(), MAX_REPLY).read_line(&mut line);
    line.trim_end_matches(['\r', '\n']).to_owned()
}

/// The value as it is printed; `None` where people are to read something else.
pub(crate) fn formatted<T: Serialize>(format: Format, value: &T) -> Result<Option<String>, CliError> {
    let failed = |why: String| CliError::Other(format!("cannot write the object: {why}"));
    let json = || {
        let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.to_string()))?;
        Ok(Some(format!("{}\n", escape::json(&text))))
    };
    match format {
        Format::Table => Ok(None),
        Format::Json => json(),
        Format::Yaml => {
            let text = serde_saphyr::to_string(value).map_err(|error| failed(error.to_string()))?;
            // JSON is YAML too, and can write an invisible character visibly without changing the value.
            if escape::is_safe(&text) {
                Ok(Some(text))
            } else {
                json()
            }
        }
    }
}

/// Prints an error to stderr; its text may hold words of a user or a server, so it is escaped.
pub(crate) fn print_error(color: ColorChoice, error: &str) {
    let look = Look {
        width: None,
        color: colored(color, std::io::stderr().is_terminal()),
    };
    let mut page = Page::new(&look);
    let (first, rest) = error.split_once('\n').unwrap_or((error, ""));
    page.spans(0, &[(Tone::Bad, "error: "), (Tone::Plain, first)]);
    if !rest.is_empty() {
        page.line(0, Tone::Plain, rest);
    }
    put(&mut std::io::stderr().lock(), &page.finish());
}

/// How text for people looks where it goes.
pub(crate) fn look(format: Format, color: ColorChoice) -> Look {
    let (tty, size) = match format {
        Format::Table => {
            let out = std::io::stdout();
            (out.is_terminal(), terminal_size::terminal_size_of(&out))
        }
        Format::Json | Format::Yaml => {
            let err = std::io::stderr();
            (err.is_terminal(), terminal_size::terminal_size_of(&err))
        }
    };
    let width = size
        .map(|(width, _)| usize::from(width.0))
        .filter(|width| tty && *width > 0);
    Look {
        width,
        color: colored(color, tty),
    }
}

fn colored(choice: ColorChoice, tty: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    use_color(
        choice,
        tty,
        set("NO_COLOR").is_some(),
        set("TERM").is_some_and(|term| term == "dumb"),
    )
}

fn use_color(choice: ColorChoice, tty: bool, no_color: bool, dumb: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => tty && !no_color && !dumb,
    }
}

fn connection_flags(connect: &Connect) -> String {
    let Connect {
        kubeconfig,
        context,
        namespace: _,
    } = connect;
    let mut flags = String::new();
    if let Some(file) = kubeconfig {
        flags.push_str(&format!(" --kubeconfig {}", quoted(&file.to_string_lossy())));
    }
    if let Some(context) = context {
        flags.push_str(&format!(" --context {}", quoted(context)));
    }
    flags
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

fn put(to: &mut impl Write, text: &str) {
    // A reader that went away (`| head`) is no error of ours.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// Prints to stdout.
pub(crate) fn print(text: &str) {
    put(&mut std::io::stdout().lock(), text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn colour_needs_a_terminal_and_nobody_against_it() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, tty, no_color, dumb, wanted) in [
            (Auto, true, false, false, true),
            (Auto, false, false, false, false),
            (Auto, true, true, false, false),
            (Auto, true, false, true, false),
            (Always, false, true, true, true),
            (Never, true, false, false, false),
        ] {
            assert_eq!(
                use_color(choice, tty, no_color, dumb),
                wanted,
                "{choice:?} {tty} {no_color} {dumb}"
            );
        }
    }

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y", "Y", "yes", " YES "] {
            assert!(is_yes(yes));
        }
        for no in ["", "n", "no", "yess", "ja", "1", "\u{200b}y"] {
            assert!(!is_yes(no), "{no}");
        }
    }

    #[test]
    fn objects_are_printed_whole_and_safe_in_every_form() {
        let value = json!({ "a": "x\u{1b}[2J\u{202e}", "b": [1, true], "c": "plain: text\nsecond" });
        assert_eq!(formatted(Format::Table, &value).unwrap(), None);
        for format in [Format::Json, Format::Yaml] {
            let text = formatted(format, &value).unwrap().unwrap();
            assert!(escape::is_safe(&text), "{text}");
            let back: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(back, value);
        }
        let plain = formatted(Format::Yaml, &json!({ "a": "b" })).unwrap().unwrap();
        assert_eq!(plain, "a: b\n");
    }

    #[test]
    fn connection_flags_are_repeated_quoted_for_a_shell() {
        let connect = Connect {
            kubeconfig: Some("my files/it's.yaml".into()),
            context: Some("alice@dev".into()),
            namespace: Some("x".into()),
        };
        assert_eq!(
            connection_flags(&connect),
            r" --kubeconfig 'my files/it'\''s.yaml' --context alice@dev"
        );
        assert_eq!(connection_flags(&Connect::default()), "");
    }
}
