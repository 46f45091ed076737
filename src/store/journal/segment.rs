//! Segment files: their names, their header, and the list of them in the journal's folder.
//!
//! A segment is `<first entry number, 20 digits>.seg`, pre-allocated to its full length. Its first
//! page is the header, written once and never again; batches follow, and zeros after them.
//!
//! ```text
//! header  0 "CAIRNSEG" · 8 version 1 · 9 zero 3 · 12 ledger id 16 · 28 first entry 8
//!         36 first entry of the segment before 8 (all ones: none) · 44 length of the file 8
//!         52 CRC32C 4 · 56 zeros to 4096
//! ```
//!
//! Knows: files, disk.

use std::io;
use std::path::PathBuf;

use super::error::{Damage, Fault, JournalError, broken};
use super::frame::part;
use crate::store::disk::{BoxFile, Dir, DiskFile};
use crate::store::files;

/// A ledger's identity: each of its files bears it, so that files of two ledgers never mix.
pub type LedgerId = [u8; 16];

/// Where the first batch begins. A page of its own, so that no batch's write can harm the header.
pub(super) const HEADER_BYTES: u64 = 4096;

const MAGIC: [u8; 8] = *b"CAIRNSEG";
const SEGMENT_VERSION: u8 = 1;
const CRC_AT: usize = 52;
const FIELDS_END: usize = 56;
const NONE_BEFORE: u64 = u64::MAX;

/// What a segment's first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) ledger_id: LedgerId,
    pub(super) first: u64,
    pub(super) previous: Option<u64>,
    pub(super) length: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut page = [0; HEADER_BYTES as usize];
        page[..8].copy_from_slice(&MAGIC);
        page[8] = SEGMENT_VERSION;
        page[12..28].copy_from_slice(&self.ledger_id);
        page[28..36].copy_from_slice(&self.first.to_le_bytes());
        page[36..44].copy_from_slice(&self.previous.unwrap_or(NONE_BEFORE).to_le_bytes());
        page[44..CRC_AT].copy_from_slice(&self.length.to_le_bytes());
        let crc = crc32c::crc32c(&page[..CRC_AT]);
        page[CRC_AT..FIELDS_END].copy_from_slice(&crc.to_le_bytes());
        page
    }

    pub(super) fn decode(page: &[u8; HEADER_BYTES as usize]) -> Result<Header, Fault> {
        let whole = page[..8] == MAGIC
            && crc32c::crc32c(&page[..CRC_AT]) == u32::from_le_bytes(part(page, CRC_AT))
            && page[FIELDS_END..].iter().all(|&b| b == 0);
        if !whole {
            return Err(Fault::SegmentHeader);
        }
        if page[8] != SEGMENT_VERSION {
            return Err(Fault::UnknownVersion(page[8]));
        }
        let previous = u64::from_le_bytes(part(page, 36));
        Ok(Header {
            ledger_id: part(page, 12),
            first: u64::from_le_bytes(part(page, 28)),
            previous: (previous != NONE_BEFORE).then_some(previous),
            length: u64::from_le_bytes(part(page, 44)),
        })
    }
}

/// An open segment whose header has been read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: BoxFile,
    pub(super) header: Header,
}

impl Segment {
    /// Opens a segment for reading. Its header must be whole and agree with its name and length.
    pub(super) fn open(dir: &Dir, first: u64) -> Result<Segment, JournalError> {
        let (segment, damage) = Segment::open_anyway(dir, first)?;
        match damage {
            None => Ok(segment),
            Some(damage) => Err(damage.into()),
        }
    }

    /// Like [`Segment::open`], but goes on with what the name and the file's length say where the
    /// header cannot be believed, and tells what is wrong with it.
    pub(super) fn open_anyway(
        dir: &Dir,
        first: u64,
    ) -> Result<(Segment, Option<Damage>), JournalError> {
        let path = path_of(dir, first);
        let file = match dir.disk().open(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Damage::new(&path, 0, first, Fault::MissingSegment).into());
            }
            other => other.map_err(broken("open", &path))?,
        };
        let length = file.length().map_err(broken("examine", &path))?;
        let read = read_header(file.as_ref(), length, first).map_err(broken("read", &path))?;
        let (header, fault) = match read {
            Ok(header) => (header, None),
            Err(fault) => (assumed(first, length), Some(fault)),
        };
        let damage = fault.map(|fault| Damage::new(&path, 0, first, fault));
        Ok((Segment { path, file, header }, damage))
    }

    /// Whether the whole file is zeros: created, and nothing ever written.
    pub(super) fn is_blank(&self) -> Result<bool, JournalError> {
        self.file
            .length()
            .and_then(|length| files::first_nonzero(self.file.as_ref(), 0, length))
            .map(|found| found.is_none())
            .map_err(broken("read", &self.path))
    }
}

fn assumed(first: u64, length: u64) -> Header {
    Header { ledger_id: [0; 16], first, previous: None, length }
}

fn read_header(file: &dyn DiskFile, length: u64, first: u64) -> io::Result<Result<Header, Fault>> {
    let mut page = [0; HEADER_BYTES as usize];
    if length < HEADER_BYTES {
        return Ok(Err(Fault::SegmentLength { found: length, expected: HEADER_BYTES }));
    }
    file.read_exact_at(&mut page, 0)?;
    Ok(Header::decode(&page).and_then(|header| {
        if header.first != first {
            return Err(Fault::WrongName { found: header.first });
        }
        if header.length != length {
            return Err(Fault::SegmentLength { found: length, expected: header.length });
        }
        Ok(header)
    }))
}

/// The path of the segment that begins with entry `first`.
pub(super) fn path_of(dir: &Dir, first: u64) -> PathBuf {
    dir.join(name_of(first))
}

/// The file name of the segment that begins with entry `first`.
pub(super) fn name_of(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The first entry numbers of all segments in the folder, in order.
pub(super) fn list(dir: &Dir) -> Result<Vec<u64>, JournalError> {
    let mut firsts: Vec<u64> = names(dir)?.iter().filter_map(|name| first_of(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// All names in the folder; one that is not UTF-8 is shown as well as it can be.
pub(super) fn names(dir: &Dir) -> Result<Vec<String>, JournalError> {
    match dir.disk().list(dir.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(JournalError::NotThere(dir.path().to_owned()))
        }
        other => other.map_err(broken("list", dir.path())),
    }
}

/// The first entry number that a segment's file name gives, or `None` for another file.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let canonical = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { ledger_id: [7; 16], first: 42, previous: Some(3), length: 65_536 };

    #[test]
    fn header_round_trips_and_keeps_its_shape() {
        let page = HEADER.encode();
        assert_eq!(Header::decode(&page), Ok(HEADER));
        assert_eq!(&page[..12], b"CAIRNSEG\x01\0\0\0");
        assert_eq!(&page[28..36], &42_u64.to_le_bytes());
        let first = Header { previous: None, ..HEADER };
        assert_eq!(Header::decode(&first.encode()), Ok(first));
    }

    #[test]
    fn refuses_every_flipped_bit_of_a_header() {
        let page = HEADER.encode();
        for bit in 0..page.len() * 8 {
            let mut flipped = page;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_a_version_it_does_not_know() {
        let mut page = HEADER.encode();
        page[8] = 2;
        let crc = crc32c::crc32c(&page[..CRC_AT]);
        page[CRC_AT..FIELDS_END].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&page), Err(Fault::UnknownVersion(2)));
    }

    #[test]
    fn takes_only_canonical_segment_names() {
        assert_eq!(first_of("00000000000000000042.seg"), Some(42));
        assert_eq!(first_of("18446744073709551615.seg"), Some(u64::MAX));
        for name in [
            "18446744073709551616.seg",
            "42.seg",
            "+0000000000000000042.seg",
            "00000000000000000042.seg.tmp",
            "0000000000000000004x.seg",
            ".seg",
        ] {
            assert_eq!(first_of(name), None, "{name}");
        }
    }
}
