//! What people see, and what operators' machines ask.
//!
//! ```text
//! operators, metrics   /metrics, /livez, /readyz, on a port of their own
//!
//! routes               the console's addresses, and what each answer tells the browser
//! pages/               one file for each page
//! acts, forms          what a person does, each an entry that names the person
//! live                 tells an open page that something has changed
//! door, turns          sign-in: the one-time link, the passphrase, signing out
//! gate                 who asks, what that person may see, and whether a form is ours
//! answer               a page, another address, or what is wrong
//! frame, visit         what all pages look like, and for whom they are made
//! site, board          what pages are made of: what is open, walked through once for all who look
//! story, words         a concern's thread, step by step; how pages say things
//! assets/              the one style sheet and the one script
//! ```
//!
//! Every page is whole without the script. None holds a word of a concern, and none a sender's own
//! reference: the broker cannot read the first, and the console never asks for the second.
//!
//! Holds: I2, I10, I11, I12. Knows: broker, directory, domain, identity, listener, policy, limits.

mod acts;
mod answer;
mod board;
mod door;
mod forms;
mod frame;
mod gate;
mod live;
mod metrics;
mod operators;
mod pages;
mod routes;
mod site;
mod story;
mod turns;
mod visit;
mod words;

pub use operators::{Operators, ProbeCounts};
pub use site::{Console, Tally};
