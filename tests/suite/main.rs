//! The suite, through the front door: real mTLS, real gRPC, real files.
//!
//! After every test [`support::World::check`] verifies the whole world again: every
//! proof, the index rebuilt = the index live, deliveries = closed + open.

mod alerts;
mod attack;
mod bench;
mod board;
mod connections;
mod console;
mod deadlines;
mod demo;
mod disk;
mod escalation;
mod flow;
mod full;
mod keys;
mod kill;
mod life;
mod network;
mod night;
mod notify;
mod on_call;
mod overload;
mod privacy;
mod probe;
mod process;
mod questions;
mod raised;
mod readme;
mod refuse;
mod support;
mod tidy;
mod traces;
mod urgency;
mod witness;
