//! What looking through a text may cost. **Invariant:** a text that was made to be slow is blocked, never let through half
//! read.

use super::Blocked;

/// Units of work for each byte of a text; a text made to be slow runs out of them and is blocked.
pub(super) const WORK_A_BYTE: usize = 96;
const WORK_AT_LEAST: usize = 1 << 20;

/// Work that is left. One unit is about one byte looked at.
#[derive(Debug)]
pub(super) struct Work(usize);

impl Work {
    pub(super) fn for_text(text: &str) -> Self {
        Self(text.len().saturating_mul(WORK_A_BYTE).max(WORK_AT_LEAST))
    }

    #[cfg(test)]
    pub(super) const fn of(units: usize) -> Self {
        Self(units)
    }

    pub(super) fn spend(&mut self, units: usize) -> Result<(), Blocked> {
        self.0 = self.0.checked_sub(units).ok_or(Blocked::TooMuchWork)?;
        Ok(())
    }

    pub(super) const fn left(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes that were looked at, charged or not: tests of hostile texts count them instead of asking a clock.
    pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes that so many bytes were looked at; nothing outside of tests.
#[inline]
pub(super) fn look(bytes: usize) {
    #[cfg(test)]
    LOOKED.with(|all| all.set(all.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}
