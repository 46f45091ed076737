//! A journal that is not what was written: each damaged place is named by segment, offset and
//! entry, the exchange refuses to start or serves nothing that it hit.

use std::{collections::BTreeSet, fs, ops::Range, path::PathBuf};

use cairn::{
    proto::{ListDeliveriesRequest, receive_response::Item},
    store::journal::{Damage, JournalReader, Location, Scanned},
};

use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::{Past, flip, replace};
use crate::{
    process::{PATIENCE, Process},
    support::statements::*,
};

/// Where the first batch of a segment begins.
const HEADER_BYTES: u64 = 4096;
/// Where the parts of an entry's frame begin; the facts follow the last.
const LEAF_AT: u64 = 32;
const FACTS_OPENING_AT: u64 = 121;
const FACTS_AT: u64 = 153;

/// One region of the journal: its name, where it lies, and the frame and entry it belongs to.
struct Region {
    name: &'static str,
    file: PathBuf,
    bytes: Range<u64>,
    frame: Range<u64>,
    entry: u64,
}

/// Where an entry lies, the trailer of its batch, and how many bytes of facts it has.
fn placed(past: &Past, entry: u64) -> (Location, Location, u64) {
    let reader = JournalReader::open_read_only(&past.journal()).unwrap();
    let size = reader.published().unwrap().size;
    let mut found = None;
    for scanned in reader.scan(entry, size) {
        match (scanned.unwrap(), found) {
            (Scanned::Entry { location, record, .. }, None) => {
                found = Some((location, record.facts.len() as u64));
            }
            (Scanned::Batch { location: trailer, .. }, Some((location, facts))) => {
                return (location, trailer, facts);
            }
            _ => {}
        }
    }
    panic!("the journal has entry {entry}");
}

/// Every region of the frames of an entry and of the trailer after it.
fn regions(past: &Past, entry: u64) -> Vec<Region> {
    let (at, trailer, facts) = placed(past, entry);
    let file = past.journal().join(format!("{:020}.seg", at.segment));
    let (start, end) = (at.offset, at.offset + u64::from(at.length));
    let opening = start + FACTS_AT + facts;
    let (root, checkpoint) = (trailer.offset + 28, trailer.offset + 68);
    let trailer_end = trailer.offset + u64::from(trailer.length);
    let of_entry = [
        ("kind", start..start + 4),
        ("version", start + 4..start + 5),
        ("zeros", start + 5..start + 8),
        ("number", start + 8..start + 16),
        ("facts' length", start + 16..start + 20),
        ("detail's length", start + 20..start + 24),
        ("detail's checksum", start + 24..start + 28),
        ("head's checksum", start + 28..start + LEAF_AT),
        ("leaf", start + LEAF_AT..start + FACTS_OPENING_AT),
        ("facts' opening", start + FACTS_OPENING_AT..start + FACTS_AT),
        ("facts", start + FACTS_AT..opening),
        ("detail's opening", opening..opening + 32),
        ("detail", opening + 32..end),
    ];
    let of_trailer = [
        ("trailer's kind", trailer.offset..trailer.offset + 4),
        ("trailer's first and count", trailer.offset + 8..trailer.offset + 20),
        ("trailer's lengths", trailer.offset + 20..root),
        ("root", root..root + 32),
        ("batch's checksums", root + 32..checkpoint),
        ("checkpoint", checkpoint..trailer_end),
    ];
    let region =
        |name, bytes, frame, entry| Region { name, file: file.clone(), bytes, frame, entry };
    let of_entry = of_entry.map(|(name, bytes)| region(name, bytes, start..end, entry));
    let after = trailer.offset..trailer_end;
    let of_trailer = of_trailer.map(|(name, bytes)| region(name, bytes, after.clone(), entry + 1));
    of_entry.into_iter().chain(of_trailer).filter(|region| !region.bytes.is_empty()).collect()
}

impl Past {
    /// Flips a bit, sees fsck name the place, and sees the exchange refuse to start or serve
    /// nothing that is wrong. Then all is put back.
    async fn is_found(&mut self, region: &Region) {
        let (journal, index) = (self.journal(), self.index());
        let kept = self.world.folder.path().join("kept");
        let kept_index = self.world.folder.path().join("kept-index");
        replace(&journal, &kept);
        replace(&index, &kept_index);
        let at = region.bytes.start + (region.bytes.end - region.bytes.start) / 2;
        flip(&region.file, at);
        let what = format!("{} at {at}", region.name);
        let problems = self.problems();
        let named = problems.iter().any(|damage| {
            damage.file == region.file
                && region.frame.contains(&damage.offset)
                && damage.entry == region.entry
        });
        assert!(named, "{what}: entry {} in {:?}, not {problems:?}", region.entry, region.frame);
        match self.try_start().await {
            Err(why) => assert!(why.contains(".seg at byte"), "{what}: {why}"),
            Ok(server) => {
                self.serves_nothing_wrong(&what).await;
                server.stop().await;
            }
        }
        replace(&kept, &journal);
        replace(&kept_index, &index);
    }

    /// Each receipt comes back as it was or not at all, and what is offered opens.
    async fn serves_nothing_wrong(&self, what: &str) {
        for (envelope, receipt) in &self.held {
            if let Ok(again) = self.world.agency("police").submit(envelope).await {
                let same = (again.duplicate, again.receipt.as_ref()) == (true, Some(receipt));
                assert!(same, "{what}: another receipt");
            }
        }
        let school = self.world.agency("school");
        let page = school.exchange().list_deliveries(ListDeliveriesRequest::default()).await;
        for incoming in page.map(|page| page.into_inner().incoming).unwrap_or_default() {
            let opened = open(school, &incoming);
            assert_eq!(opened.body.unwrap().as_map()["concern"]["narrative"], "A made-up concern.");
        }
    }
}

/// I3, I9: a flipped bit in any part of an entry or trailer in the middle, which somebody was
/// told of, is named by segment, offset and entry, and nothing wrong is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_part_of_an_entry_is_named_and_never_served() {
    let mut past = Past::of(5).await;
    let middle = past.held[2].1.entry;
    for region in regions(&past, middle) {
        past.is_found(&region).await;
    }
    past.goes_on().await;
}

/// I1, I3, I9: the last batch was acknowledged: damage in it is no torn write.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_last_batch_that_was_acknowledged_is_not_cut() {
    let mut past = Past::of(3).await;
    past.world.start().await;
    let last = past.world.size().await - 1;
    past.world.stop().await;
    for region in regions(&past, last) {
        past.is_found(&region).await;
    }
    // The same after an unclean stop, where an unfinished batch might be expected.
    let process = Process::serve(&past.world).await;
    let police = past.world.agency("police");
    let entry = sent(police, &concern("police", &["school/duty"], "D-acknowledged")).await;
    process.kill();
    for region in regions(&past, entry) {
        let kept = past.world.folder.path().join("unclean");
        replace(&past.journal(), &kept);
        flip(&region.file, region.bytes.start);
        let why = past.refuses_to_start(region.name).await;
        assert!(why.contains(&format!("names {} entries", entry + 1)), "{}: {why}", region.name);
        replace(&kept, &past.journal());
    }
    past.settles().await;
    fs::remove_dir_all(past.index()).unwrap();
    past.is_as_it_was("the whole batch again").await;
    past.goes_on().await;
}

/// I3: the parts of a segment that hold no entry: its header, and the zeros after the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_header_or_tail_is_named_and_refused() {
    let past = Past::of(2).await;
    let segment = past.segment();
    let good = fs::read(&segment).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let length = good.len() as u64;
    let in_header = [0, 8, 10, 20, 30, 40, 50, 54, 56, HEADER_BYTES - 1];
    for at in in_header.into_iter().chain([end, end + 4096, length - 1]) {
        flip(&segment, at);
        let problems = past.problems();
        let place = if at < HEADER_BYTES { 0..=at } else { end..=at };
        let named =
            problems.iter().any(|damage| damage.file == segment && place.contains(&damage.offset));
        assert!(named, "byte {at}: {problems:?}");
        let why = past.refuses_to_start(&format!("byte {at}")).await;
        assert!(why.contains("00000000000000000000.seg at byte"), "byte {at}: {why}");
        fs::write(&segment, &good).unwrap();
    }
    past.goes_on().await;
}

/// I3, I9: a segment that is missing or cut short is named; nothing is started without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_truncated_segment_is_named_and_refused() {
    let mut past = Past::of(24).await;
    past.in_segments_of(24 * 1024);
    past.settles().await;
    let segments = past.segments();
    assert!(segments.len() >= 4, "{segments:?}");
    let aside = past.world.folder.path().join("aside");
    for segment in &segments {
        let name = segment.file_name().unwrap().to_str().unwrap();
        let first: u64 = name[..20].parse().unwrap();
        fs::rename(segment, &aside).unwrap();
        let named = |damage: &Damage| damage.file == *segment && damage.entry == first;
        assert!(past.problems().iter().any(named), "{name}: {:?}", past.problems());
        let why = past.refuses_to_start(name).await;
        assert!(why.contains(name) && why.contains("missing"), "{name}: {why}");

        fs::copy(&aside, segment).unwrap();
        let length = fs::metadata(segment).unwrap().len();
        for kept in [0, HEADER_BYTES, length / 2, length - 1] {
            let cut = fs::File::options().write(true).open(segment).unwrap();
            cut.set_len(kept).unwrap();
            let named = |damage: &Damage| damage.file == *segment;
            assert!(past.problems().iter().any(named), "{name} cut to {kept}");
            let why = past.refuses_to_start(&format!("{name} cut to {kept}")).await;
            assert!(why.contains(name), "{name} cut to {kept}: {why}");
            fs::copy(&aside, segment).unwrap();
        }
    }
    past.goes_on().await;
}

/// I3, I5: damage in an earlier segment is found by fsck and by a rebuild, and what it hit is
/// not served.
#[tokio::test(flavor = "multi_thread")]
async fn damage_in_an_earlier_segment_is_named_and_never_served() {
    let mut past = Past::of(24).await;
    past.in_segments_of(24 * 1024);
    past.settles().await;
    assert!(past.segments().len() >= 4);
    let early = past.held[1].1.entry;
    let (at, ..) = placed(&past, early);
    let segment = past.journal().join(format!("{:020}.seg", at.segment));
    assert!(past.segments()[2..].iter().all(|later| *later > segment), "it is an early one");
    for region in regions(&past, early) {
        past.is_found(&region).await;
    }
    let leaf = at.offset + LEAF_AT;
    flip(&segment, leaf);
    let kept = past.world.folder.path().join("kept-index");
    replace(&past.index(), &kept);
    fs::remove_dir_all(past.index()).unwrap();
    let why = past.refuses_to_start("a rebuild over damage").await;
    assert!(why.contains(".seg at byte") && why.contains(&format!("entry {early}")), "{why}");
    flip(&segment, leaf);
    replace(&kept, &past.index());
    past.goes_on().await;
}

/// I7: what the disk has lost of one statement does not keep the others from their recipient.
#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_statement_does_not_keep_later_ones_from_their_recipient() {
    let mut past = Past::of(24).await;
    past.in_segments_of(24 * 1024);
    past.settles().await;
    // Of those that wait for the school the oldest: the first is stored.
    let early = past.held[1].1.entry;
    let detail = regions(&past, early).into_iter().find(|region| region.name == "detail").unwrap();
    flip(&detail.file, detail.bytes.end - 1);
    past.world.start().await;
    let school = past.world.agency("school");
    let waiting: BTreeSet<u64> = past.held[2..].iter().map(|(_, receipt)| receipt.entry).collect();

    let page = ListDeliveriesRequest { page_size: 100, ..<_>::default() };
    let page = school.exchange().list_deliveries(page).await.unwrap().into_inner();
    let listed: BTreeSet<u64> = page.incoming.iter().map(|incoming| incoming.entry).collect();
    assert_eq!(listed, waiting);

    let mut stream = school.receive(Vec::new()).await.unwrap();
    let mut offered = BTreeSet::new();
    while offered.len() < waiting.len() {
        let item = timeout(PATIENCE, stream.next()).await.expect("an item").expect("it goes on");
        if let Some(Item::Incoming(incoming)) = item.expect("no error for all").item {
            open(school, &incoming);
            offered.insert(incoming.entry);
        }
    }
    assert_eq!(offered, waiting);
    drop(stream);
    past.world.stop().await;
    flip(&detail.file, detail.bytes.end - 1);
    past.goes_on().await;
}
