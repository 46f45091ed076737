//! Checks without trust: mirrors of the ledger, receipts, and a data folder's own
//! ledger, each recomputed from its leaves and held against what was signed.
//!
//! Takes a served ledger, files, and the verifier keys of those who are believed;
//! gives what was verified, or the first file and entry that does not fit.
//!
//! Holds: I3, I4, I11. Knows: ledger, proto, wire's client, store (reading).

pub mod fsck;
pub mod knew;
pub mod look;
pub mod mirror;
pub mod verify;
pub mod witnessed;

#[cfg(test)]
mod testbed;
