//! Leaves, and the commitments in them.
//!
//! Takes an entry id, a time and the contents of an entry; gives the 89 bytes that are hashed into
//! the tree for ever. They tell whoever holds a mirror that something happened and when; what it was
//! only those learn who are handed the content and its opening. Destroying the opening erases.
//!
//! Holds: I3, I12. Knows: nothing.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Error;
use super::merkle::{Hash, leaf_hash};

/// A leaf, in bytes.
pub const LEAF_BYTES: usize = 89;
/// The first byte of a leaf in this form.
pub const LEAF_VERSION: u8 = 1;

/// The key of every commitment: the first half of SHA-256("cairn/commitment/v1"). Public; it only
/// keeps our commitments apart from any other use of HMAC.
pub const COMMITMENT_KEY: [u8; 16] = [
    0xf1, 0x98, 0x17, 0x0a, 0x35, 0xf0, 0xbb, 0xb4, 0x05, 0x60, 0x8f, 0x2e, 0x6d, 0xb5, 0xc8, 0xe0,
];

/// What the tree holds of an entry.
///
/// As bytes: version ‖ entry id ‖ time as u64 big-endian ‖ facts ‖ detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Random; says nothing.
    pub entry_id: [u8; 16],
    /// When it was committed, in nanoseconds since 1970-01-01T00:00:00Z.
    pub time_unix_ns: u64,
    /// The commitment to the facts.
    pub facts: Hash,
    /// The commitment to the detail.
    pub detail: Hash,
}

impl Leaf {
    /// The bytes that are hashed and mirrored.
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[0] = LEAF_VERSION;
        bytes[1..17].copy_from_slice(&self.entry_id);
        bytes[17..25].copy_from_slice(&self.time_unix_ns.to_be_bytes());
        bytes[25..57].copy_from_slice(self.facts.as_bytes());
        bytes[57..].copy_from_slice(self.detail.as_bytes());
        bytes
    }

    /// Reads the bytes of a leaf.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless there are exactly [`LEAF_BYTES`] of them, of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("a leaf is 89 bytes");
        if bytes.len() != LEAF_BYTES {
            return Err(MALFORMED);
        }
        let (version, rest) = bytes.split_first().ok_or(MALFORMED)?;
        if *version != LEAF_VERSION {
            return Err(Error::Malformed("a leaf of a version that is not known here"));
        }
        let (entry_id, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let (time, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let (facts, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let detail = rest.try_into().map_err(|_| MALFORMED)?;
        Ok(Self {
            entry_id: *entry_id,
            time_unix_ns: u64::from_be_bytes(*time),
            facts: Hash::from_bytes(*facts),
            detail: Hash::from_bytes(detail),
        })
    }

    /// The leaf's hash in the tree.
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

/// Commits to a content: HMAC-SHA-256(published key, opening ‖ length as u32 big-endian ‖ content).
/// The opening is 32 fresh random bytes, never used twice. The content is at most 4 GiB, which is far
/// above what an entry may hold.
pub fn commit(content: &[u8], opening: &[u8; 32]) -> Hash {
    let length =
        u32::try_from(content.len()).expect("invariant: contents are bounded to megabytes");
    let mut hmac = Hmac::<Sha256>::new_from_slice(&COMMITMENT_KEY)
        .expect("invariant: HMAC takes keys of any length");
    hmac.update(opening);
    hmac.update(&length.to_be_bytes());
    hmac.update(content);
    Hash::from_bytes(hmac.finalize().into_bytes().into())
}

/// Whether a commitment is to this content with this opening. Takes the same time wherever the two
/// differ.
pub fn opens(commitment: &Hash, content: &[u8], opening: &[u8; 32]) -> bool {
    if u32::try_from(content.len()).is_err() {
        return false;
    }
    let expected = commit(content, opening);
    expected.as_bytes().ct_eq(commitment.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    const LEAF: Leaf = Leaf {
        entry_id: [0xa1; 16],
        time_unix_ns: 0x0102_0304_0506_0708,
        facts: Hash::from_bytes([0xfa; 32]),
        detail: Hash::from_bytes([0xde; 32]),
    };

    #[test]
    fn leaf_has_its_published_form_and_hash() {
        let mut expected = vec![1];
        expected.extend([0xa1; 16]);
        expected.extend(1..=8);
        expected.extend([0xfa; 32]);
        expected.extend([0xde; 32]);
        assert_eq!(LEAF.encode().as_slice(), expected);
        assert_eq!(Leaf::decode(&expected), Ok(LEAF));
        let published = "fe898f75d2a3a1cbaf0089cb3f676cd92af279e8f293ecd01b2bd0b14c337396";
        assert_eq!(LEAF.hash().to_string(), published);
    }

    #[test]
    fn refuses_leaves_of_another_length_or_version() {
        let bytes = LEAF.encode();
        for length in 0..LEAF_BYTES {
            assert!(Leaf::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Leaf::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for version in (0..=255).filter(|version| *version != LEAF_VERSION) {
            let mut other = bytes;
            other[0] = version;
            assert!(Leaf::decode(&other).is_err(), "{version}");
        }
    }

    #[test]
    fn commitment_key_is_derived_from_its_name() {
        let name: [u8; 32] = Sha256::digest("cairn/commitment/v1").into();
        assert_eq!(COMMITMENT_KEY, name[..16]);
    }

    #[test]
    fn commitment_matches_another_implementation() {
        let published = "0d9f5a8ab4b1e77d4438b8c61d03c1c6b0e83e802ed3f70fe9ca2c8de69d39de";
        assert_eq!(commit(b"facts", &[7; 32]).to_string(), published);
    }

    /// I12: without its opening a commitment tells nothing, not even whether a guess is right.
    #[test]
    fn opens_only_with_its_content_and_its_opening() {
        let commitment = commit(b"facts", &[7; 32]);
        assert!(opens(&commitment, b"facts", &[7; 32]));
        assert!(!opens(&commitment, b"fact", &[7; 32]));
        assert!(!opens(&commitment, b"facts\0", &[7; 32]));
        assert!(!opens(&commitment, b"facts", &[8; 32]));
        for bit in 0..256 {
            let mut other = *commitment.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&Hash::from_bytes(other), b"facts", &[7; 32]));
        }
        assert_ne!(commit(b"", &[7; 32]), commit(&[0], &[7; 32]));
    }
}
