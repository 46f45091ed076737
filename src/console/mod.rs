//! What people see, and what operators' machines ask.
//!
//! ```text
//! operators, metrics   /metrics, /livez, /readyz, on a port of their own
//! site                 the console: its addresses, headers, bounds and error pages
//! door                 sign-in: the one-time link, the passphrase, signing out
//! visit                who asks, what that person may see, and whether a form is ours
//! board                what is open, walked through once for all who look
//! pages/               one file for each page
//! acts, forms          what a person does, each an entry that names the person
//! live                 tells an open page that something has changed
//! story                a concern's thread, step by step
//! frame, words         what all pages look like, and how they say it
//! assets/              the one style sheet and the one script
//! ```
//!
//! Every page is whole without the script. None holds a word of a concern, and none a sender's own
//! reference: the broker cannot read the first, and the console never asks for the second.
//!
//! Holds: I2, I10, I11, I12. Knows: broker, directory, domain, identity, listener, policy, limits.

mod acts;
mod board;
mod door;
mod forms;
mod frame;
mod live;
mod metrics;
mod operators;
mod pages;
mod site;
mod story;
mod visit;
mod words;

pub use operators::{Operators, ProbeCounts};
pub use site::{Console, Tally};
