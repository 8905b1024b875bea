//! Blocks during which others used the machine are measured again, within limits.
//!
//! **Invariant**: which blocks count is decided by how much others used the machine, never by what was measured.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::Protocol;
use super::machine::CpuUse;

/// Most of the machine that others may use during a block (0 to 1).
const MAX_FOREIGN: f64 = 0.10;
/// Most of the machine that its host may take away during a block.
const MAX_STOLEN: f64 = 0.05;

/// How much of the machine was used by others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Noise {
    foreign: f64,
    stolen: f64,
}

impl Noise {
    pub(super) fn of(cpu: &CpuUse) -> Self {
        Self {
            foreign: cpu.foreign,
            stolen: cpu.stolen,
        }
    }

    fn is_quiet(&self) -> bool {
        self.foreign <= MAX_FOREIGN && self.stolen <= MAX_STOLEN
    }

    fn sum(&self) -> f64 {
        self.foreign + self.stolen
    }
}

/// The blocks that count, and how many do not.
#[derive(Debug)]
pub(super) struct Gathered<B> {
    pub(super) kept: Vec<B>,
    pub(super) left_out: usize,
}

/// Measures blocks until enough were quiet or the time is up, at most twice as many as wanted, and keeps the quietest.
pub(super) async fn gather<B, F>(
    wanted: usize,
    protocol: &Protocol,
    mut block: impl FnMut(usize) -> F,
    noise: impl Fn(&B) -> &Noise,
) -> Result<Gathered<B>>
where
    F: Future<Output = Result<B>>,
{
    let end = Instant::now() + protocol.patience;
    let mut blocks = Vec::new();
    loop {
        blocks.push(block(blocks.len()).await?);
        let quiet = blocks.iter().filter(|block| noise(block).is_quiet()).count();
        let enough = blocks.len() >= wanted;
        if quiet >= wanted || enough && (blocks.len() >= wanted * 2 || Instant::now() > end) {
            break;
        }
    }
    blocks.sort_by(|a, b| noise(a).sum().total_cmp(&noise(b).sum()));
    let left_out = blocks.len().saturating_sub(wanted);
    blocks.truncate(wanted);
    Ok(Gathered {
        kept: blocks,
        left_out,
    })
}

/// How many blocks there were and how noisy, for people.
pub(super) fn words(blocks: &[&Noise], left_out: usize) -> String {
    let noisy = blocks.iter().filter(|noise| !noise.is_quiet()).count();
    let mut words = format!("{} blocks", blocks.len());
    if noisy > 0 {
        words.push_str(&format!(", {noisy} of them noisy"));
    }
    if left_out > 0 {
        words.push_str(&format!(", {left_out} noisier left out"));
    }
    words
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn protocol(patience: Duration) -> Protocol {
        Protocol { seed: 1, patience }
    }

    fn noise(foreign: f64) -> Noise {
        Noise { foreign, stolen: 0.0 }
    }

    async fn gathered(foreign: &[f64], wanted: usize, patience: Duration) -> (Vec<usize>, usize) {
        let block = |number: usize| async move { Ok((number, noise(foreign[number]))) };
        let found = gather(wanted, &protocol(patience), block, |block: &(usize, Noise)| {
            &block.1
        })
        .await
        .unwrap();
        (found.kept.iter().map(|block| block.0).collect(), found.left_out)
    }

    #[tokio::test]
    async fn noisy_blocks_are_measured_again_and_the_quietest_count() {
        let long = Duration::from_secs(60);
        assert_eq!(gathered(&[0.0, 0.1], 2, long).await, (vec![0, 1], 0));
        assert_eq!(gathered(&[0.5, 0.0, 0.05], 2, long).await, (vec![1, 2], 1));
        assert_eq!(gathered(&[0.5, 0.4, 0.3, 0.2], 2, long).await, (vec![3, 2], 2));
        assert_eq!(
            gathered(&[0.5, 0.4, 0.3], 2, Duration::ZERO).await,
            (vec![1, 0], 0)
        );
    }

    #[test]
    fn says_how_many_blocks_were_noisy() {
        let noises = [
            noise(0.0),
            noise(0.9),
            Noise {
                foreign: 0.0,
                stolen: 0.06,
            },
        ];
        let all: Vec<&Noise> = noises.iter().collect();
        assert_eq!(words(&all, 0), "3 blocks, 2 of them noisy");
        assert_eq!(words(&all[..1], 2), "1 blocks, 2 noisier left out");
    }
}
