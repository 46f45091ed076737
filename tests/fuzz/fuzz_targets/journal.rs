//! A segment of the journal, after its header: as it came, and with the checksums mended, so that
//! what lies behind them is reached. Checking and recovery agree on what is whole, what recovery
//! leaves is whole, and every frame that is believed is the one spelling of what it says.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use cairn::store::journal::{
    Damage, Evidence, Exchange, Fault, Journal, LedgerId, Options, Report, Scanned, fsck,
};
use cairn_fuzz::{frames, scratch};
use libfuzzer_sys::fuzz_target;

const LEDGER: LedgerId = [0x5A; 16];
const HEADER: usize = 4_096;
const BODY: usize = 8_192;
const SIZES: Options = Options { segment_bytes: (HEADER + BODY) as u64 };
const SEGMENT: &str = "00000000000000000000.seg";

fuzz_target!(|data: &[u8]| {
    if data.len() > BODY {
        return;
    }
    checked(data);
    let mut mended = data.to_vec();
    frames::mend(&mut mended);
    if mended != data {
        checked(&mended);
    }
});

/// An empty journal's files.
fn empty() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = scratch();
        let dir = folder.path().join("journal");
        drop(Journal::create_with(&dir, LEDGER, SIZES).expect("a journal"));
        let names = [SEGMENT, "published"];
        names.map(|name| (name.to_owned(), fs::read(dir.join(name)).expect("a file"))).to_vec()
    })
}

fn checked(body: &[u8]) {
    let folder = scratch();
    let dir = folder.path();
    for (name, content) in empty() {
        let mut content = content.clone();
        if name == SEGMENT {
            content[HEADER..HEADER + body.len()].copy_from_slice(body);
        }
        fs::write(dir.join(name), content).expect("a file");
    }
    let report = check(dir);
    let opened = Journal::open_with(dir, Some(LEDGER), Evidence::default(), "fuzz", SIZES);
    // A detail may have been erased by a later entry: that is not for the journal to know.
    let may_open = |damage: &Damage| match damage.fault {
        Fault::Torn(_) | Fault::Detail | Fault::DetailZeroed => true,
        _ => false,
    };
    let Ok((journal, recovery)) = opened else {
        assert!(!report.problems.iter().all(may_open), "refused: {:?}", report.problems);
        return;
    };
    assert!(report.problems.iter().all(may_open), "opened: {:?}", report.problems);
    assert_eq!(journal.size(), recovery.size);
    // Of a journal that is torn fsck goes on to what lies behind, and counts it.
    let torn = report.problems.iter().any(|damage| matches!(damage.fault, Fault::Torn(_)));
    assert!(recovery.size <= report.size && (torn || recovery.size == report.size));
    read(&journal, body);
    journal.close_clean().expect("an orderly close");
    let after = check(dir);
    let of_details = |damage: &Damage| matches!(damage.fault, Fault::Detail | Fault::DetailZeroed);
    assert!(after.problems.iter().all(of_details), "left unsound: {:?}", after.problems);
    assert_eq!((after.size, after.clean_stop), (recovery.size, true));
}

fn check(dir: &Path) -> Report {
    fsck(dir, Exchange::Stopped, &mut |_| false, &mut |_, _| {}).expect("files that can be read")
}

/// Reads all there is, and writes it again.
fn read(journal: &Journal, body: &[u8]) {
    let reader = journal.reader();
    let mut next = 0;
    for scanned in reader.scan(0, journal.size()) {
        match scanned.expect("what was opened can be read") {
            Scanned::Entry { index, location, record } => {
                assert_eq!((index, record.number), (next, next));
                next += 1;
                assert_eq!(reader.read(location).expect("the same again"), record);
                let at = location.offset as usize - HEADER;
                let frame = &body[at..at + location.length as usize];
                let written = frames::entry(&record);
                assert!(written.is_none_or(|written| frames::same(&written, frame)), "respelled");
            }
            Scanned::Batch { trailer, location } => {
                assert_eq!(trailer.size(), next);
                assert_eq!(reader.read_trailer(location).expect("the same again"), trailer);
            }
        }
    }
    assert_eq!(next, journal.size());
}
