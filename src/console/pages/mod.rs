//! The pages, one file each.
//!
//! Knows: broker, directory, domain, proto, clock.

pub(super) mod agencies;
pub(super) mod concern;
pub(super) mod find;
pub(super) mod handover;
pub(super) mod health;
pub(super) mod help;
pub(super) mod list;
pub(super) mod now;
pub(super) mod raised;
mod rows;
