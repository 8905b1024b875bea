//! Everything that talks to the API server.

pub mod access;
pub mod client;
pub mod discovery;
pub mod impersonate;
pub mod objects;
pub mod watch;
