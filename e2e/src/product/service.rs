//! One part of the product that is kept running.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::RESTART_PAUSE;
use crate::process::{Exit, Process, Program};

/// A handle; all clones mean the same process.
#[derive(Clone, Debug)]
pub(super) struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    restart: bool,
    changes: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    program: Program,
    process: Option<Arc<Process>>,
    /// Whether it should run: a part that was stopped on purpose is not started again.
    wanted: bool,
}

impl Service {
    pub(super) fn new(program: Program, restart: bool, changes: watch::Sender<u64>) -> Self {
        let state = Mutex::new(State {
            program,
            process: None,
            wanted: false,
        });
        Self(Arc::new(Inner {
            restart,
            changes,
            state,
        }))
    }

    /// Starts it; refused while it runs. Must be called inside a tokio runtime.
    pub(super) fn start(&self) -> Result<()> {
        let mut state = self.0.state();
        ensure!(!state.is_running(), "{} runs already", state.program.name);
        state.wanted = true;
        let exit = self.0.launch(&mut state)?;
        if self.0.restart {
            tokio::spawn(keep_running(Arc::downgrade(&self.0), exit));
        }
        Ok(())
    }

    pub(super) async fn stop(&self, grace: Duration) -> Result<()> {
        match self.0.give_up() {
            Some(process) => process.stop(grace).await,
            None => Ok(()),
        }
    }

    pub(super) fn stop_blocking(&self, grace: Duration) {
        if let Some(process) = self.0.give_up() {
            process.stop_blocking(grace);
        }
    }

    /// Sends a signal; false when it does not run.
    pub(super) fn signal(&self, signal: Signal) -> Result<bool> {
        let process = self.0.state().process.clone();
        process.map_or(Ok(false), |process| process.signal(signal))
    }

    pub(super) fn reconfigure(&self, change: impl FnOnce(&mut Program)) {
        change(&mut self.0.state().program);
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let state = self.0.state();
        state
            .process
            .as_ref()
            .filter(|process| process.is_running())
            .map(|process| process.pid())
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.0.state().process.as_ref().map(|process| process.exit())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(&self, state: &mut State) -> Result<Exit> {
        let process = state
            .program
            .start()
            .with_context(|| format!("the {} was not started", state.program.name))?;
        let exit = process.exit();
        state.process = Some(Arc::new(process));
        self.changes.send_modify(|count| *count += 1);
        Ok(exit)
    }

    fn give_up(&self) -> Option<Arc<Process>> {
        let mut state = self.state();
        state.wanted = false;
        state.process.clone()
    }
}

impl State {
    fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.is_running())
    }
}

/// Starts the service again whenever it ends although it is wanted. Ends when it is stopped or dropped.
async fn keep_running(service: Weak<Inner>, mut exit: Exit) {
    loop {
        exit.wait().await;
        tokio::time::sleep(RESTART_PAUSE).await;
        let Some(inner) = service.upgrade() else { return };
        let mut state = inner.state();
        // Stopped, or stopped and started again by somebody else: then that start has a keeper of its own.
        if !state.wanted || state.is_running() {
            return;
        }
        match inner.launch(&mut state) {
            Ok(next) => exit = next,
            Err(reason) => eprintln!("{reason:#}; trying again in {} s", RESTART_PAUSE.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;
    use tempfile::TempDir;

    fn service(folder: &TempDir, script: &str, restart: bool) -> (Service, watch::Receiver<u64>) {
        let program = Program::new("script", "/bin/sh", folder.path().join("log")).args(["-c", script]);
        let (changes, seen) = watch::channel(0);
        (Service::new(program, restart, changes), seen)
    }

    #[tokio::test]
    async fn a_killed_service_comes_back_with_another_id_and_is_announced() {
        let folder = TempDir::new().unwrap();
        let (service, mut seen) = service(&folder, "sleep 60", true);
        service.start().unwrap();
        let first = service.pid().unwrap();
        seen.mark_unchanged();
        assert!(service.signal(Signal::SIGKILL).unwrap());
        tokio::time::timeout(RESTART_PAUSE * 3, seen.changed())
            .await
            .unwrap()
            .unwrap();
        assert_ne!(service.pid().unwrap(), first);
        service.stop_blocking(Duration::ZERO);
    }

    #[tokio::test]
    async fn a_stopped_service_stays_down_until_it_is_started() {
        let folder = TempDir::new().unwrap();
        let (service, mut seen) = service(&folder, "sleep 60", true);
        service.start().unwrap();
        assert!(service.start().unwrap_err().to_string().contains("runs already"));
        seen.mark_unchanged();
        service.stop(Duration::ZERO).await.unwrap();
        assert!(
            tokio::time::timeout(RESTART_PAUSE + Duration::from_secs(1), seen.changed())
                .await
                .is_err()
        );
        assert_eq!(service.pid(), None);
        assert!(!service.signal(Signal::SIGTERM).unwrap());
        service.start().unwrap();
        assert!(service.pid().is_some());
    }

    #[tokio::test]
    async fn without_restart_a_dead_service_stays_dead_and_starts_with_a_new_configuration() {
        let folder = TempDir::new().unwrap();
        let (service, _seen) = service(&folder, "echo first; exit 3", false);
        service.start().unwrap();
        assert_eq!(service.exit().unwrap().wait().await.code(), Some(3));
        service.reconfigure(|program| program.args = vec!["-c".into(), "echo $WORD; exit 0".into()]);
        service.reconfigure(|program| program.env.push(("WORD".to_owned(), "second".to_owned())));
        service.start().unwrap();
        eventually(Duration::from_secs(5), "the second word", || async {
            let log = std::fs::read_to_string(folder.path().join("log"))?;
            ensure!(log == "first\nsecond\n", "{log}");
            Ok(())
        })
        .await
        .unwrap();
    }
}
