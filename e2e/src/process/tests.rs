//! Behaviour of child processes, with the real kernel.

use super::*;
use tempfile::TempDir;

fn shell(folder: &TempDir, script: &str) -> Program {
    Program::new("script", "/bin/sh", folder.path().join("log")).args(["-c", script])
}

#[tokio::test]
async fn a_child_leads_its_own_group_and_dies_with_its_handle() {
    let folder = TempDir::new().unwrap();
    let process = shell(&folder, "sleep 60").start().unwrap();
    let (pid, mut exit) = (process.shared.pid, process.exit());
    assert_eq!(nix::unistd::getpgid(Some(pid)).unwrap(), pid);
    drop(process);
    assert!(exit.within(KILL_DEADLINE).await.is_some());
    assert_eq!(nix::sys::signal::kill(pid, None), Err(Errno::ESRCH));
}

#[tokio::test]
async fn an_early_end_is_reported_with_the_end_of_the_log() {
    let folder = TempDir::new().unwrap();
    let process = shell(&folder, "echo it runs; exit 7").start().unwrap();
    let status = process.exit().within(KILL_DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(7));
    let message = format!("{:#}", process.obituary(status));
    assert!(
        message.contains("exit status: 7") && message.contains("it runs"),
        "{message}"
    );
}

#[tokio::test]
async fn stop_is_gentle_first_and_kills_what_does_not_listen() {
    let folder = TempDir::new().unwrap();
    let gentle = shell(
        &folder,
        "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
    )
    .start()
    .unwrap();
    let deaf = shell(&folder, "trap '' TERM; echo up; while :; do sleep 0.05; done")
        .start()
        .unwrap();
    crate::wait::eventually(KILL_DEADLINE, "both scripts are up", || async {
        anyhow::ensure!(
            gentle.log_tail().matches("up").count() == 2,
            "{}",
            gentle.log_tail()
        );
        Ok(())
    })
    .await
    .unwrap();
    gentle.stop(KILL_DEADLINE).await.unwrap();
    assert!(gentle.log_tail().contains("bye"));
    deaf.stop(Duration::from_millis(200)).await.unwrap();
    assert!(!deaf.is_running());
}

#[tokio::test]
async fn a_signal_after_the_end_goes_nowhere() {
    let folder = TempDir::new().unwrap();
    let process = shell(&folder, "exit 0").start().unwrap();
    process.exit().within(KILL_DEADLINE).await.unwrap();
    assert!(!process.signal(Signal::SIGKILL).unwrap());
}

#[test]
fn refuses_a_log_in_a_folder_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("missing/log");
    let refused = Program::new("script", "/bin/true", log).start().unwrap_err();
    assert!(format!("{refused:#}").contains("cannot be written"));
}

#[test]
fn a_log_tail_is_the_last_twenty_lines_and_empty_without_a_log() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    assert_eq!(log_tail(&path), "");
    let lines: Vec<String> = (1..=30).map(|n| format!("line {n}")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    assert_eq!(log_tail(&path), lines[10..].join("\n"));
}

#[test]
fn cpu_ticks_survive_odd_program_names() {
    let stat = "12 (a) b) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
    assert_eq!(cpu_ticks(stat), Some(300));
    assert_eq!(cpu_ticks("12 (name) S 1"), None);
    assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    assert!(cpu_seconds(u32::MAX).is_err());
}
