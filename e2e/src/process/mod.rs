//! Child processes that cannot outlive the harness.
//!
//! **Invariants**
//! - Each child leads its own process group, so Ctrl-C in the terminal reaches only the harness, which then
//!   stops its children in order.
//! - Each child is started through `setpriv --pdeathsig KILL`: the kernel kills it when the thread that
//!   started it ends, so also after a `kill -9` of the harness. That thread must therefore live as long as
//!   the harness: one thread (`spawner`) starts every child and never ends.
//! - A signal is only ever sent to a child that was not yet reaped, so never to a stranger with a reused id.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tokio::sync::watch;

/// The launcher of every child; part of util-linux, which Debian always has.
const LAUNCHER: &str = "setpriv";
/// How much of the end of a log an error message may show.
const LOG_TAIL_LINES: usize = 20;
const LOG_TAIL_BYTES: u64 = 16 * 1024;
/// How long a child that got SIGKILL may take to disappear.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name in messages.
    pub name: String,
    /// The file to run.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Added to the environment of the harness.
    pub env: Vec<(String, String)>,
    /// The folder it runs in; that of the harness if not given.
    pub folder: Option<PathBuf>,
    /// Where standard output and standard error are appended.
    pub log: PathBuf,
}

impl Program {
    /// A program without arguments yet.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        let (args, env, folder) = (Vec::new(), Vec::new(), None);
        Self {
            name: name.into(),
            path: path.into(),
            args,
            env,
            folder,
            log: log.into(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds one variable to the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the log cannot be opened, or the launcher is missing.
    pub fn start(&self) -> Result<Process> {
        let child = spawn(self.command()?).with_context(|| {
            format!(
                "{} was not started: {LAUNCHER} does not run; install it with: apt-get install util-linux",
                self.name
            )
        })?;
        Process::watch(self.name.clone(), self.log.clone(), child)
    }

    fn command(&self) -> Result<Command> {
        let log = open_log(&self.log)?;
        let mut command = Command::new(LAUNCHER);
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.path)
            .args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let errors = log
            .try_clone()
            .with_context(|| format!("{} cannot be shared", self.log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        Ok(command)
    }
}

fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("the log {} cannot be written", path.display()))
}

type Order = (Command, SyncSender<std::io::Result<Child>>);

/// The thread that starts every child. It ends with the harness and not before (see the module's invariants).
fn spawner() -> &'static Sender<Order> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Nobody waiting any more: the child is dropped, and its caller with it.
                let _gone = reply.send(command.spawn());
            }
        });
        orders
    })
}

fn spawn(command: Command) -> Result<Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    spawner()
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts processes has ended"))?;
    Ok(answer
        .recv()
        .context("the thread that starts processes has ended")??)
}

/// A running (or ended) child. Dropping the last handle kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Held while a signal is sent and while the child is reaped, so that the two never overlap.
    reaping: Mutex<()>,
    exit: watch::Sender<Option<ExitStatus>>,
}

impl Process {
    fn watch(name: String, log: PathBuf, mut child: Child) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(child.id()).context("the process id does not fit")?);
        let shared = Arc::new(Shared {
            pid,
            reaping: Mutex::new(()),
            exit: watch::Sender::new(None),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || theirs.reap(&mut child));
        Ok(Self { name, log, shared })
    }

    /// Its process id (also that of its group).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid.as_raw().unsigned_abs()
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.shared.exit.borrow().is_none()
    }

    /// A handle that tells when it has ended, without keeping it alive.
    #[must_use]
    pub fn exit(&self) -> Exit {
        Exit(self.shared.exit.subscribe())
    }

    /// Sends a signal to its group; false when it had already ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        self.shared
            .signal(signal)
            .with_context(|| format!("{signal} was not sent to {}", self.name))
    }

    /// Asks it to end (SIGTERM), waits `grace`, then kills it. Blocks; for use where nothing else runs, and
    /// in `Drop`.
    pub fn stop_blocking(&self, grace: Duration) {
        if !grace.is_zero() && self.signal(Signal::SIGTERM).is_ok() && self.shared.wait_blocking(grace) {
            return;
        }
        if self.signal(Signal::SIGKILL).is_ok() {
            self.shared.wait_blocking(KILL_DEADLINE);
        }
    }

    /// Like [`Self::stop_blocking`] without blocking the thread.
    ///
    /// # Errors
    /// When it survives SIGKILL.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        let mut exit = self.exit();
        if !grace.is_zero() && self.signal(Signal::SIGTERM)? && exit.within(grace).await.is_some() {
            return Ok(());
        }
        if self.signal(Signal::SIGKILL)? && exit.within(KILL_DEADLINE).await.is_none() {
            bail!("{} (process {}) did not end after SIGKILL", self.name, self.pid());
        }
        Ok(())
    }

    /// An error that says it ended early, with the end of its log.
    #[must_use]
    pub fn obituary(&self, status: ExitStatus) -> anyhow::Error {
        anyhow!(
            "{} ended early ({status}); the end of its log {}:\n{}",
            self.name,
            self.log.display(),
            self.log_tail()
        )
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop_blocking(Duration::ZERO);
    }
}

impl Shared {
    fn reap(&self, child: &mut Child) {
        // Wait without reaping first: until the lock is held, the id stays the child's.
        while waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        let _reaping = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait().unwrap_or_default();
        self.exit.send_replace(Some(status));
    }

    fn signal(&self, signal: Signal) -> nix::Result<bool> {
        let _reaping = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.exit.borrow().is_some() {
            return Ok(false);
        }
        killpg(self.pid, signal).map(|()| true)
    }

    fn wait_blocking(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        while self.exit.borrow().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.exit.borrow().is_some()
    }
}

/// Tells when a process has ended.
#[derive(Clone, Debug)]
pub struct Exit(watch::Receiver<Option<ExitStatus>>);

impl Exit {
    /// Waits for the end.
    pub async fn wait(&mut self) -> ExitStatus {
        match self.0.wait_for(Option::is_some).await {
            Ok(status) => (*status).unwrap_or_default(),
            // The sender lives until the child is reaped, so this is the end as well.
            Err(_) => ExitStatus::default(),
        }
    }

    /// Waits for the end, but no longer than `deadline`.
    pub async fn within(&mut self, deadline: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(deadline, self.wait()).await.ok()
    }
}

/// The last lines of a log file; empty when there is none.
#[must_use]
pub fn log_tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// CPU time a process has used so far, user and system, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("there is no process {pid}"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("{path} does not look as proc(5) says"))?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not tell its clock ticks")?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "ticks of a process stay far below 2^52"
    )]
    Ok(ticks as f64 / per_second as f64)
}

/// `utime + stime`: fields 14 and 15 of proc(5) stat. The name in field 2 may itself hold spaces and
/// brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests;
