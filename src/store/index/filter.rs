//! A filter: says of most absent keys that they are absent, and of no present key.
//!
//! A Bloom filter in lines of 64 bytes, for the keys of one section of a run. Beside each key it
//! knows the beginning of each (a letter and a number, as most questions for more than one key
//! have it), so that a walk passes by the runs that have nothing there.
//!
//! Holds: I5. Knows: nothing.

/// With so many keys and beginnings a filter is full.
const KEYS_FULL: usize = 3_072;
const BITS_PER_KEY: usize = 10;
const LINE_BYTES: usize = 64;
/// Bits set for one key, all in one line.
const PROBES: u32 = 6;
/// The length of a beginning: a letter and a number.
pub(super) const BEGINNING_BYTES: usize = 9;

/// A filter in the making.
#[derive(Default)]
pub(super) struct FilterBuilder {
    hashes: Vec<u64>,
    beginning: Vec<u8>,
}

impl FilterBuilder {
    /// Takes a key; they come in order.
    pub(super) fn push(&mut self, key: &[u8]) {
        self.hashes.push(hash(key));
        if key.len() > BEGINNING_BYTES && key[..BEGINNING_BYTES] != *self.beginning {
            self.beginning.clear();
            self.beginning.extend_from_slice(&key[..BEGINNING_BYTES]);
            self.hashes.push(hash(&self.beginning));
        }
    }

    /// Whether the next key belongs in another.
    pub(super) fn is_full(&self) -> bool {
        self.hashes.len() >= KEYS_FULL
    }

    /// The filter; the builder is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let lines = (self.hashes.len() * BITS_PER_KEY).div_ceil(8 * LINE_BYTES).max(1);
        let mut bits = vec![0_u8; lines * LINE_BYTES];
        for hash in self.hashes.drain(..) {
            let at = line_of(hash, lines);
            for bit in probes(hash) {
                bits[at + bit / 8] |= 1 << (bit % 8);
            }
        }
        self.beginning.clear();
        bits
    }
}

/// Whether a filter may know a key; false is certain.
pub(super) fn may_hold(bits: &[u8], key: &[u8]) -> bool {
    let hash = hash(key);
    let at = line_of(hash, bits.len() / LINE_BYTES);
    probes(hash).all(|bit| bits.get(at + bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
}

/// Where the line of a hash begins.
fn line_of(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize * LINE_BYTES
}

/// The bits of a hash within its line.
fn probes(hash: u64) -> impl Iterator<Item = usize> {
    let mixed = mix(hash ^ 0xA076_1D64_78BD_642F);
    (0..PROBES).map(move |probe| (mixed >> (9 * probe)) as usize % (8 * LINE_BYTES))
}

/// Not for strangers: whoever chooses keys can make look-ups slower, and no more.
fn hash(key: &[u8]) -> u64 {
    key.chunks(8).fold(0x9E37_79B9_7F4A_7C15 ^ key.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash ^ u64::from_le_bytes(word))
    })
}

fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0xE703_7ED1_A0B4_28DB) * 0x8EBC_6AF0_9C88_C6E3;
    (product >> 64) as u64 ^ product as u64
}
