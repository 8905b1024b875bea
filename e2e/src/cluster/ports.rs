//! Free loopback ports, the same ones at the next start where possible.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::build::write_atomically;

/// Below the range from which the kernel takes ports for outgoing connections, so that a restarted component
/// finds its port free.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 500;

/// The port of everything that listens.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) apiserver: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) operator: u16,
    pub(crate) second_operator: u16,
    pub(crate) interpreter: u16,
    pub(crate) webhook: u16,
    pub(crate) webhook_health: u16,
}

impl Ports {
    /// Takes the ports remembered in `file` as far as they are free, else new ones, and remembers them.
    pub(super) fn choose(file: &Path) -> Result<Self> {
        let known: Option<Self> = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let pick = |remembered: fn(&Self) -> u16| free_port(known.as_ref().map(remembered));
        let ports = Self {
            etcd: pick(|ports| ports.etcd)?,
            etcd_peer: pick(|ports| ports.etcd_peer)?,
            apiserver: pick(|ports| ports.apiserver)?,
            controller_manager: pick(|ports| ports.controller_manager)?,
            scheduler: pick(|ports| ports.scheduler)?,
            operator: pick(|ports| ports.operator)?,
            second_operator: pick(|ports| ports.second_operator)?,
            interpreter: pick(|ports| ports.interpreter)?,
            webhook: pick(|ports| ports.webhook)?,
            webhook_health: pick(|ports| ports.webhook_health)?,
        };
        write_atomically(file, &serde_json::to_string_pretty(&ports)?)
            .context("the chosen ports were not remembered")?;
        Ok(ports)
    }
}

/// The wished port if it is free, else a random one. None is given out twice by one harness.
pub(crate) fn free_port(wish: Option<u16>) -> Result<u16> {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if let Some(port) = wish.filter(|port| is_free(*port)) {
        taken.insert(port);
        return Ok(port);
    }
    let mut random = rand::rng();
    for _ in 0..ATTEMPTS {
        let port = random.random_range(RANGE);
        if !taken.contains(&port) && is_free(port) {
            taken.insert(port);
            return Ok(port);
        }
    }
    bail!(
        "no free loopback port between {} and {} was found; stop what listens there",
        RANGE.start,
        RANGE.end
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_second_start_gets_the_same_ports_except_those_now_in_use() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ports.json");
        let first = Ports::choose(&file).unwrap();
        assert_eq!(Ports::choose(&file).unwrap(), first);
        let _intruder = TcpListener::bind((Ipv4Addr::LOCALHOST, first.webhook)).unwrap();
        let third = Ports::choose(&file).unwrap();
        assert_ne!(third.webhook, first.webhook);
        assert_eq!(third.apiserver, first.apiserver);
    }

    #[test]
    fn a_damaged_memory_means_new_ports() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ports.json");
        for damaged in ["", "[]", "{\"etcd\": 1}"] {
            std::fs::write(&file, damaged).unwrap();
            let ports = Ports::choose(&file).unwrap();
            let all: BTreeSet<u16> = [
                ports.etcd,
                ports.etcd_peer,
                ports.apiserver,
                ports.operator,
                ports.webhook,
            ]
            .into();
            assert_eq!(all.len(), 5);
            assert!(all.iter().all(|port| RANGE.contains(port)));
        }
    }
}
