//! The cluster harness: a real control plane on a bare machine, started and stopped by one library.
//!
//! `make run` (the binary `kubechat-dev`), the black-box tests (`tests/e2e.rs`) and the benches use the same
//! code, so what a person tries by hand is what the tests prove.
//!
//! - [`build`]: the programs of the cluster, built once from pinned Go modules into a cache.
//! - [`cluster`]: etcd, API server, controller manager, scheduler and kwok on free loopback ports.
//! - [`accounts`]: the people of the tests and what each of them may do.
//! - [`product`]: KubeChat's operator and webhook, under their own service accounts, supervised.
//! - [`flux`]: real Flux with a Git server, for what arrives through Git.
//! - [`ollama`]: a real Ollama with a small real model.
//! - [`dev`]: what `make run` does with all of it.
//! - [`bench`]: what `make bench` measures with it.
//!
//! **Invariant**: no process outlives the harness, however it ends ([`process`]).

pub mod accounts;
pub mod apply;
pub mod bench;
pub mod build;
pub mod cluster;
pub mod demo;
pub mod dev;
pub mod flux;
pub mod ollama;
pub mod process;
pub mod product;
pub mod progress;
pub mod wait;
