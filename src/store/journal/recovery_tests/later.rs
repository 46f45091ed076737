//! What a batch behind the damaged one tells: that one was durable.

use super::*;

#[test]
fn damage_before_a_later_batch_is_no_torn_tail() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 2, 2]);
    let whole = fs::read(bed.segment(0)).unwrap();
    let second = places[1].locations[0].offset..places[2].locations[0].offset;
    for at in second {
        let mut harmed = whole.clone();
        harmed[at as usize] ^= 0x40;
        fs::write(bed.segment(0), &harmed).unwrap();
        // A damaged detail is for the caller to judge: it may be an interrupted erasure.
        if let Ok(plan) = examine(&(&bed.dir).into(), None, &Evidence::default()) {
            assert_eq!((plan.size, plan.cut_to), (6, None));
            assert_eq!(plan.doubtful[0].state, DetailState::Damaged);
            let at_entry = plan.doubtful[0].location;
            let detail = at_entry.offset + u64::from(at_entry.length) - 72;
            assert!((detail..detail + 72).contains(&at), "byte {at}");
        } else {
            let damage = damage(outcome(&bed, Evidence::default()));
            assert!((2..=4).contains(&damage.entry), "byte {at}: {damage}");
        }
    }
    fs::write(bed.segment(0), &whole).unwrap();
    change(&bed.segment(0), |bytes| bytes[places[1].trailer.offset as usize + 30] ^= 1);
    let damage = refused(&bed);
    assert_eq!((damage.offset, damage.fault), (places[1].trailer.offset, Fault::Trailer));
}

/// I9: the later batch was torn, so it has no trailer; that it was begun says enough.
#[test]
fn damage_before_a_batch_that_was_only_begun_is_no_torn_tail() {
    let bed = Bed::new();
    let places = bed.filled(&[2, 2, 2]);
    let begun = places[2].locations[1].offset as usize;
    change(&bed.segment(0), |bytes| {
        bytes[begun..].fill(0);
        bytes[places[1].locations[1].offset as usize + 40] ^= 1;
    });
    let damage = refused(&bed);
    assert_eq!((damage.entry, damage.fault), (3, Fault::Head));
}
