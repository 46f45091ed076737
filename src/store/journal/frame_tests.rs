//! The frames' layout, byte for byte, and frames that are whole but in the wrong place.

use proptest::prelude::*;

use super::frame::{
    Kind, TRAILER_HEAD_BYTES, TrailerFrame, decode_entry, encode_entry, encode_trailer,
};
use super::testbed::*;
use super::*;

fn entry_frame(number: u64, record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    encode_entry(&mut out, number, record);
    out
}

/// The check value of CRC32C (RFC 3720, B.4, and the usual nine digits).
#[test]
fn checksums_are_crc32c() {
    assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA);
}

#[test]
fn an_entry_frame_lies_as_documented() {
    let record = record(7);
    let frame = entry_frame(7, &record);
    assert_eq!(frame.len(), record.frame_bytes());
    assert_eq!(frame[..8], [0xCA, 0x19, 0xFA, b'E', 1, 0, 0, 0]);
    assert_eq!(frame[8..16], 7_u64.to_le_bytes());
    assert_eq!(frame[16..20], 20_u32.to_le_bytes());
    assert_eq!(frame[20..24], 40_u32.to_le_bytes());
    assert_eq!(frame[24..28], crc32c::crc32c(&frame[173..]).to_le_bytes());
    let covered = [&frame[..28], &frame[32..173]].concat();
    assert_eq!(frame[28..32], crc32c::crc32c(&covered).to_le_bytes());
    let kept = [&record.leaf[..], &record.facts_opening, &record.facts].concat();
    assert_eq!(frame[32..173], kept);
    let erasable = [&record.detail_opening[..], &record.detail].concat();
    assert_eq!(frame[173..], erasable);
    assert_eq!(decode_entry(&frame), Ok(stored(7)));
}

#[test]
fn a_trailer_frame_lies_as_documented() {
    let trailer = Trailer { first: 5, count: 2, root: root(7), checkpoint: checkpoint(7) };
    let mut frame = Vec::new();
    encode_trailer(&mut frame, &trailer, 600, 0xABCD);
    assert_eq!(frame[..8], [0xCA, 0x19, 0xFA, b'T', 1, 0, 0, 0]);
    assert_eq!(frame[8..16], 5_u64.to_le_bytes());
    assert_eq!(frame[16..20], 2_u32.to_le_bytes());
    assert_eq!(frame[20..24], (trailer.checkpoint.len() as u32).to_le_bytes());
    assert_eq!(frame[24..28], 600_u32.to_le_bytes());
    assert_eq!(frame[28..60], trailer.root);
    let covered = [&frame[..60], &trailer.checkpoint].concat();
    let batch = crc32c::crc32c_append(0xABCD, &covered);
    assert_eq!(frame[60..64], batch.to_le_bytes());
    let covered = [&frame[..64], &trailer.checkpoint].concat();
    assert_eq!(frame[64..68], crc32c::crc32c(&covered).to_le_bytes());
    assert_eq!(frame[68..], trailer.checkpoint);
    assert_eq!(TrailerFrame::decode(&frame).unwrap().trailer, trailer);
}

#[test]
fn an_entry_with_nothing_in_it_is_an_entry() {
    let record = Record { facts: Vec::new(), detail: Vec::new(), ..record(0) };
    let read = decode_entry(&entry_frame(0, &record)).unwrap();
    assert!(matches!(read.detail, Detail::Present { content, .. } if content.is_empty()));
}

#[test]
fn a_batch_with_another_whole_frame_in_it_is_refused() {
    let bed = Bed::new();
    let places = bed.filled(&[1, 3, 1]);
    let [first, second, ..] = places[1].locations[..] else {
        panic!("three entries");
    };
    let at = |location: Location| {
        let from = location.offset as usize;
        from..from + location.length as usize
    };
    let whole = std::fs::read(bed.segment(0)).unwrap();

    // Two entries in each other's place: each is whole, but bears the wrong number.
    let mut swapped = whole.clone();
    swapped[at(first)].copy_from_slice(&whole[at(second)]);
    swapped[at(second)].copy_from_slice(&whole[at(first)]);
    std::fs::write(bed.segment(0), swapped).unwrap();
    let found = damage(bed.open());
    assert_eq!((found.entry, found.fault), (1, Fault::Number { found: 2 }));

    // An entry with the right number, but not the one that the trailer closed over.
    let mut other = record(1);
    other.facts[0] ^= 1;
    let mut replaced = whole.clone();
    replaced[at(first)].copy_from_slice(&entry_frame(1, &other));
    std::fs::write(bed.segment(0), replaced).unwrap();
    let found = damage(bed.open());
    let trailer = places[1].trailer.offset;
    assert_eq!((found.offset, found.fault), (trailer, Fault::Batch));

    // A whole trailer of another batch.
    let mut closed = Vec::new();
    let wrong = Trailer { first: 1, count: 2, root: root(3), checkpoint: checkpoint(4) };
    encode_trailer(&mut closed, &wrong, 0, 0);
    let mut replaced = whole;
    replaced[at(places[1].trailer)].copy_from_slice(&closed);
    std::fs::write(bed.segment(0), replaced).unwrap();
    assert_eq!(damage(bed.open()).fault, Fault::BatchShape);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every parser of a frame bears every input; what passes a checksum is what was written.
    #[test]
    fn any_bytes_are_borne(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        as_entry in any::<bool>(),
    ) {
        let kind = if as_entry { *b"\xCA\x19\xFAE\x01" } else { *b"\xCA\x19\xFAT\x01" };
        if bytes.len() > kind.len() {
            bytes[..kind.len()].copy_from_slice(&kind);
        }
        let _ = Kind::of(&bytes);
        prop_assert!(decode_entry(&bytes).is_err());
        prop_assert!(TrailerFrame::decode(&bytes).is_err());
        if let Some(head) = bytes.first_chunk::<TRAILER_HEAD_BYTES>() {
            let _ = TrailerFrame::frame_bytes(head);
        }
    }

    #[test]
    fn any_record_round_trips(
        number in any::<u64>(),
        leaf in any::<[u8; 32]>(),
        facts in proptest::collection::vec(any::<u8>(), 0..200),
        opening in any::<[u8; 32]>(),
        detail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut record = Record { facts, detail, facts_opening: leaf, detail_opening: opening, ..record(0) };
        record.leaf[..32].copy_from_slice(&leaf);
        let read = decode_entry(&entry_frame(number, &record)).unwrap();
        prop_assert_eq!(read.number, number);
        prop_assert_eq!((read.leaf, read.facts_opening, read.facts), (record.leaf, record.facts_opening, record.facts));
        let present = Detail::Present { opening: record.detail_opening, content: record.detail };
        prop_assert_eq!(read.detail, present);
    }
}
