//! Cairn: a secure message broker for concerns about children, with a ledger that
//! reviewers can check.
//!
//! The rooms, from the inside out; inside knows nothing outside:
//!
//! - [`limits`], [`clock`]: every bound; the time.
//! - [`crypto`]: signatures, sealing, key files.
//! - [`domain`]: the words: ids, code lists, documents, the life of a delivery.
//! - [`ledger`]: leaves, trees, checkpoints, proofs; pure arithmetic.
//! - [`proto`]: the API's messages and their one codec.
//! - [`store`]: the journal, which is the truth, and the index, which is not.
//! - [`directory`], [`policy`], [`identity`]: who is who, who may, who is speaking.
//! - [`broker`]: takes, commits, delivers, answers.
//! - [`wire`], [`listener`], [`console`]: gRPC, TLS connections, pages for people.
//! - [`notify`]: tells people, by webhook and e-mail.
//! - [`witness`]: cosigns what others log; has cosigned what this exchange logs.
//! - [`audit`]: mirrors, and checks without trust.
//! - [`server`], [`config`], [`telemetry`], [`cli`]: put together, for people.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod crypto;
pub mod directory;
pub mod domain;
pub mod identity;
pub mod ledger;
pub mod limits;
pub mod listener;
pub mod notify;
#[cfg(test)]
mod planted;
pub mod policy;
pub mod proto;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod wire;
pub mod witness;
