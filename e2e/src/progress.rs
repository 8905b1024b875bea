//! What a person sees while the harness works: a spinner on a terminal, plain lines elsewhere, or nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// Where progress goes. Cheap to clone; all clones draw on the same terminal.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A spinner per step with the time it has taken.
    Spinner(MultiProgress),
    /// One line when a step starts and one when it ends.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// A spinner when standard error is a terminal and `CI` is not set, else lines.
    #[must_use]
    pub fn for_people() -> Self {
        if std::io::stderr().is_terminal() && std::env::var_os("CI").is_none() {
            Self::Spinner(MultiProgress::new())
        } else {
            Self::Lines
        }
    }

    /// Starts a step; it counts as failed unless [`Step::done`] is called.
    #[must_use]
    pub fn step(&self, what: impl Into<String>) -> Step {
        let what = what.into();
        let bar = match self {
            Self::Spinner(all) => Some(spinner(all, &what)),
            Self::Lines => {
                eprintln!("... {what}");
                None
            }
            Self::Silent => None,
        };
        Step {
            progress: self.clone(),
            what,
            started: Instant::now(),
            bar,
            finished: false,
        }
    }

    /// Says one line, above the spinners where there are any.
    pub fn say(&self, line: &str) {
        match self {
            Self::Spinner(all) => all.suspend(|| eprintln!("{line}")),
            Self::Lines => eprintln!("{line}"),
            Self::Silent => {}
        }
    }
}

fn spinner(all: &MultiProgress, what: &str) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// One thing that is being done now.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
    finished: bool,
}

impl Step {
    /// The step succeeded.
    pub fn done(mut self) {
        self.end("ok");
    }

    fn end(&mut self, mark: &str) {
        self.finished = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.progress.say(&format!(
            "{mark:<3} {} ({:.1} s)",
            self.what,
            self.started.elapsed().as_secs_f64()
        ));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.end("!!");
        }
    }
}
