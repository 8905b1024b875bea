//! The audit log from outside: what a store promises, what the verifier finds, and the format's fixed bytes.

#[cfg(test)]
mod common;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod format;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tamper;
