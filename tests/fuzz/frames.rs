//! The journal's frames once more, written from their description and not from the product's code:
//! to mend the checksums of made-up frames, so that what lies behind them is reached, and to check
//! that a frame that is believed is the only spelling of what it says.

use cairn::limits::{CHECKPOINT_BYTES_MAX, DETAIL_BYTES_MAX, LEAF_AND_FACTS_BYTES_MAX};
use cairn::store::journal::{Detail, Stored};

const ENTRY_HEAD: usize = 32;
const TRAILER_HEAD: usize = 68;
const LEAF: usize = 89;
const OPENING: usize = 32;

fn number(bytes: &[u8], at: usize) -> usize {
    let bytes: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes) as usize
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn crc(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// Gives every frame that fits the checksums it should have; the rest stays as it is.
pub fn mend(bytes: &mut [u8]) {
    let mut at = 0;
    let mut kept: Vec<u8> = Vec::new();
    while bytes.len() - at >= ENTRY_HEAD {
        let frame = &mut bytes[at..];
        let length = match &frame[..4] {
            [0xCA, 0x19, 0xFA, b'E'] => mend_entry(frame, &mut kept),
            [0xCA, 0x19, 0xFA, b'T'] => mend_trailer(frame, &mut kept),
            _ => None,
        };
        let Some(length) = length else { return };
        at += length;
    }
}

fn mend_entry(frame: &mut [u8], kept: &mut Vec<u8>) -> Option<usize> {
    let (facts, detail) = (number(frame, 16), number(frame, 20));
    if facts > LEAF_AND_FACTS_BYTES_MAX || detail > DETAIL_BYTES_MAX {
        return None;
    }
    let kept_end = ENTRY_HEAD + LEAF + OPENING + facts;
    let end = kept_end + OPENING + detail;
    let frame = frame.get_mut(..end)?;
    let detail = crc(&[&frame[kept_end..]]);
    put(frame, 24, detail);
    let head = crc(&[&frame[..28], &frame[ENTRY_HEAD..kept_end]]);
    put(frame, 28, head);
    kept.extend_from_slice(&frame[..kept_end]);
    Some(end)
}

fn mend_trailer(frame: &mut [u8], kept: &mut Vec<u8>) -> Option<usize> {
    let end = TRAILER_HEAD
        + Some(number(frame.get(..TRAILER_HEAD)?, 20))
            .filter(|checkpoint| *checkpoint <= CHECKPOINT_BYTES_MAX)?;
    let frame = frame.get_mut(..end)?;
    let batch = crc(&[kept, &frame[..60], &frame[TRAILER_HEAD..]]);
    put(frame, 60, batch);
    let own = crc(&[&frame[..64], &frame[TRAILER_HEAD..]]);
    put(frame, 64, own);
    kept.clear();
    Some(end)
}

/// The frame of an entry that is whole.
pub fn entry(stored: &Stored) -> Option<Vec<u8>> {
    let Detail::Present { opening, content } = &stored.detail else { return None };
    let mut frame = vec![0xCA, 0x19, 0xFA, b'E', 1, 0, 0, 0];
    frame.extend(stored.number.to_le_bytes());
    frame.extend((stored.facts.len() as u32).to_le_bytes());
    frame.extend((content.len() as u32).to_le_bytes());
    frame.extend([0; 8]);
    frame.extend(stored.leaf);
    frame.extend(stored.facts_opening);
    frame.extend(&stored.facts);
    frame.extend(opening);
    frame.extend(content);
    mend_entry(&mut frame, &mut Vec::new())?;
    Some(frame)
}

/// Whether two entry frames are the same but for the three bytes that nothing reads, and so for the
/// checksum over them.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let told = |frame: &[u8]| [&frame[..5], &frame[8..28], &frame[ENTRY_HEAD..]].concat();
    one.len() == other.len() && told(one) == told(other)
}
