//! What the numbers were taken on: the machine, its disk, and how much else it had to do meanwhile.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::utsname::uname;
use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use super::stats::percentile;
use crate::process::cpu_seconds;

/// Writes of the disk probe.
const PROBE_WRITES: usize = 200;
/// Bytes of each: about one entry of etcd's log.
const PROBE_BYTES: usize = 2048;
/// A disk whose fsync got so many times slower or faster during the run makes the run doubtful.
const MAX_DISK_CHANGE: f64 = 3.0;

/// The machine and the programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    cpu_model: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    /// Commit of the source, with `-dirty` when files differ from it.
    git: String,
    /// The API server's version.
    kubernetes: String,
    /// SHA-256 of the `kubechat` under test.
    kubechat_sha256: String,
    /// Seconds since 1970 when the run began.
    began: u64,
}

impl Environment {
    /// Reads all of it.
    pub(super) fn read(kubernetes: String, kubechat: &Path) -> Result<Self> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let program = std::fs::read(kubechat)
            .with_context(|| format!("the program under test {} cannot be read", kubechat.display()))?;
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(Self {
            cpu_model: field(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores: cores(),
            memory_mib: field(&memory, "MemTotal").and_then(kibibytes).unwrap_or(0) / 1024,
            kernel: uname()?.release().to_string_lossy().into_owned(),
            git: git(),
            kubernetes,
            kubechat_sha256: {
                use sha2::Digest as _;
                hex::encode(sha2::Sha256::digest(&program))
            },
            began: began.as_secs(),
        })
    }
}

/// Cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// The value of `name : value` in a file of /proc.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text
        .lines()
        .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn git() -> String {
    let run = |args: &[&str]| {
        let output = Command::new("git")
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = run(&["rev-parse", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let clean =
        run(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
    if clean { commit } else { format!("{commit}-dirty") }
}

/// How long the disk takes to keep a small write, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Disk {
    /// Half of the writes took at most this long.
    fsync_p50_ms: f64,
    /// 99 of 100 took at most this long.
    fsync_p99_ms: f64,
}

/// Appends small blocks to a file in `folder`, each followed by fdatasync, as etcd's log does.
fn probe_disk(folder: &Path) -> Result<Disk> {
    let path = folder.join("fsync-probe");
    let what = || format!("the disk probe {} failed", path.display());
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(what)?;
    let mut times = Vec::with_capacity(PROBE_WRITES);
    for _ in 0..PROBE_WRITES {
        let start = Instant::now();
        file.write_all(&[0x5a; PROBE_BYTES]).with_context(what)?;
        file.sync_data().with_context(what)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(&path).with_context(what)?;
    let of = |part| percentile(&times, part).context("no write was timed");
    Ok(Disk {
        fsync_p50_ms: of(0.5)?,
        fsync_p99_ms: of(0.99)?,
    })
}

/// The load average of the last minute.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}

/// Machine, disk and load around a comparison.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Surroundings {
    environment: Environment,
    load_before: f64,
    load_after: f64,
    disk_before: Disk,
    disk_after: Disk,
}

impl Surroundings {
    /// Before anything is measured.
    pub(super) fn begin(environment: Environment, folder: &Path) -> Result<Self> {
        let (disk, load) = (probe_disk(folder)?, load_average());
        Ok(Self {
            environment,
            load_before: load,
            load_after: load,
            disk_before: disk,
            disk_after: disk,
        })
    }

    /// After everything was measured.
    pub(super) fn end(self, folder: &Path) -> Result<Self> {
        let load_after = load_average();
        Ok(Self {
            load_after,
            disk_after: probe_disk(folder)?,
            ..self
        })
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let Environment {
            cpu_model,
            cores,
            memory_mib,
            kernel,
            git,
            kubernetes,
            ..
        } = &self.environment;
        let (before, after) = (&self.disk_before, &self.disk_after);
        let change = (after.fsync_p50_ms / before.fsync_p50_ms).max(before.fsync_p50_ms / after.fsync_p50_ms);
        let doubt = if change > MAX_DISK_CHANGE {
            " (the disk changed too much during the run: doubtful)"
        } else {
            ""
        };
        format!(
            "{cores} cores {cpu_model}, {memory_mib} MiB, Linux {kernel}, Kubernetes {kubernetes}, source {git}; fsync p50 {:.2} then {:.2} ms, p99 {:.1} then {:.1} ms{doubt}; load {:.1} then {:.1}",
            before.fsync_p50_ms,
            after.fsync_p50_ms,
            before.fsync_p99_ms,
            after.fsync_p99_ms,
            self.load_before,
            self.load_after
        )
    }
}

/// CPU time used until a moment, by the whole machine and by each of our processes.
#[derive(Clone, Debug)]
pub(super) struct CpuTimes {
    at: Instant,
    machine: Machine,
    processes: BTreeMap<String, f64>,
}

/// Seconds from the first line of /proc/stat.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Machine {
    busy: f64,
    stolen: f64,
}

/// CPU use between two moments.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CpuUse {
    /// CPU seconds of each of our processes.
    pub(super) processes: BTreeMap<String, f64>,
    /// Part of the machine that others used (0 to 1).
    pub(super) foreign: f64,
    /// Part of the machine that its host gave to others (0 to 1).
    pub(super) stolen: f64,
}

impl CpuTimes {
    /// Now, for these processes and this one (as `bench`).
    pub(super) fn now(pids: &BTreeMap<String, u32>) -> Result<Self> {
        let own = ("bench".to_owned(), std::process::id());
        let all = pids.iter().map(|(name, pid)| (name.clone(), *pid)).chain([own]);
        let processes = all
            .map(|(name, pid)| Ok((name, cpu_seconds(pid)?)))
            .collect::<Result<_>>()?;
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not tell its clock ticks")? as f64;
        Ok(Self {
            at: Instant::now(),
            machine: machine(&stat, ticks).context("/proc/stat does not look as proc(5) says")?,
            processes,
        })
    }

    /// What was used since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Result<CpuUse> {
        let seconds = (self.at - earlier.at).as_secs_f64();
        ensure!(seconds > 0.0, "no time passed between two looks at the CPU");
        let used = |(name, now): (&String, &f64)| {
            let before = earlier.processes.get(name).copied().unwrap_or(0.0);
            (name.clone(), (now - before).max(0.0))
        };
        let processes: BTreeMap<String, f64> = self.processes.iter().map(used).collect();
        let ours: f64 = processes.values().sum();
        let all = seconds * cores() as f64;
        let busy = self.machine.busy - earlier.machine.busy;
        Ok(CpuUse {
            processes,
            foreign: ((busy - ours) / all).clamp(0.0, 1.0),
            stolen: ((self.machine.stolen - earlier.machine.stolen) / all).clamp(0.0, 1.0),
        })
    }
}

/// CPU seconds of each process per piece of work, over all legs.
pub(super) fn cpu_each<'a>(legs: impl Iterator<Item = (&'a CpuUse, usize)>) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut count = 0;
    for (cpu, work) in legs {
        count += work;
        for (process, seconds) in &cpu.processes {
            *sums.entry(process.clone()).or_default() += seconds;
        }
    }
    sums.values_mut().for_each(|sum| *sum /= count.max(1) as f64);
    sums
}

/// `cpu user nice system idle iowait irq softirq steal ..`, see proc(5).
fn machine(stat: &str, ticks: f64) -> Option<Machine> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<f64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft, stolen, ..] = fields.as_slice() else {
        return None;
    };
    Some(Machine {
        busy: (user + nice + system + interrupts + soft) / ticks,
        stolen: stolen / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_busy_and_stolen_time_and_refuses_other_text() {
        let stat = "cpu  100 0 50 700 20 5 5 40 0 0\ncpu0 1 2 3\n";
        let (busy, stolen) = (1.6, 0.4);
        assert_eq!(machine(stat, 100.0), Some(Machine { busy, stolen }));
        for bad in [
            "",
            "cpu",
            "cpu  1 2 3",
            "cpux 1 2 3 4 5 6 7 8",
            "cpu  a b c d e f g h",
        ] {
            assert_eq!(machine(bad, 100.0), None, "{bad:?}");
        }
    }

    #[test]
    fn what_our_processes_did_not_use_was_used_by_others() {
        let at = Instant::now();
        let times = |after: u64, busy: f64, stolen: f64, etcd: f64| CpuTimes {
            at: at + std::time::Duration::from_secs(after),
            machine: Machine { busy, stolen },
            processes: [("etcd".to_owned(), etcd)].into(),
        };
        let cores = cores() as f64;
        let used = times(10, 100.0 + 5.0 * cores, 3.0 + cores, 7.0)
            .since(&times(0, 100.0, 3.0, 7.0))
            .unwrap();
        assert!(
            (used.foreign - 0.5).abs() < 1e-9 && (used.stolen - 0.1).abs() < 1e-9,
            "{used:?}"
        );
        assert!(times(0, 0.0, 0.0, 0.0).since(&times(0, 0.0, 0.0, 0.0)).is_err());
    }

    #[test]
    fn fields_of_proc_files_are_found_by_their_whole_name() {
        let text = "model\t\t: 1\nmodel name\t: A CPU @ 2: GHz\n";
        assert_eq!(field(text, "model name"), Some("A CPU @ 2: GHz"));
        assert_eq!(field(text, "name"), None);
        assert_eq!(kibibytes("2048 kB"), Some(2048));
        assert_eq!(kibibytes("kB"), None);
    }

    #[test]
    fn the_disk_probe_leaves_nothing_behind() {
        let folder = tempfile::TempDir::new().unwrap();
        let disk = probe_disk(folder.path()).unwrap();
        assert!(disk.fsync_p50_ms > 0.0 && disk.fsync_p50_ms <= disk.fsync_p99_ms);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        assert!(probe_disk(&folder.path().join("missing")).is_err());
    }
}
