//! The generated messages and services of `proto/cairn/v1`, and their one codec.
//!
//! Takes and gives bytes. A message is encoded once, where it is made; what is
//! signed or hashed is always those bytes, never a second encoding.
//!
//! Knows: nothing.

use prost::Message;

#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
mod generated {
    tonic::include_proto!("cairn.v1");
}

pub use generated::*;

/// The descriptors of all messages and services, comments included, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

impl EntryType {
    /// Whether an agency says it, in a signed statement; the rest is the exchange's own.
    pub fn is_statement(self) -> bool {
        (Self::Concern as i32..40).contains(&(self as i32))
    }
}

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a valid protobuf message of the expected type")]
pub struct Undecodable;

/// A message's bytes.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}

/// A message from its bytes.
///
/// # Errors
/// [`Undecodable`] for anything that is not such a message.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Undecodable> {
    M::decode(bytes).map_err(|_| Undecodable)
}
