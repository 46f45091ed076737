//! gRPC: the services, and the client that speaks to them.
//!
//! The only room, with the generated code, that names tonic.
//!
//! Knows: broker, policy, identity, proto, domain, limits.

pub mod client;
pub mod deadline;
pub mod echo;
pub mod paging;
pub mod services;
pub mod status;
pub mod traced;
