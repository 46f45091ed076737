//! Witnesses: others who see how far a ledger has got, and never let it go back.
//!
//! A witness cosigns a checkpoint only if it extends the last one it cosigned (C2SP tlog-witness,
//! tlog-cosignature). It is meant to be run by somebody else than the exchange.
//!
//! ```text
//! judge    may this be cosigned? pure
//! folder   a witness's key, and what it has cosigned of each ledger, durable
//! serve    the witness's HTTPS server
//! asker    the exchange's question to one witness
//! gather   the exchange's rounds: the newest checkpoint, to each witness, until enough cosigned it
//! ```
//!
//! Holds: I4, I10. Knows: broker, listener, identity, store, ledger, crypto, config, clock, limits.

mod asker;
mod folder;
mod gather;
mod judge;
mod serve;

pub use asker::{Asker, Seen, SetupError, seen};
pub use folder::{Fault, WitnessFolder};
pub use gather::{Gathering, kept, policy};
pub use serve::{Ended, serve};
