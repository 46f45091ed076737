//! What is raised beside deadlines: an urgent concern that was refused, what a manifest found
//! missing, what came outside any agreement, an agency that usually speaks and does not.
//!
//! The first three are the fold's. The last is worked out from when agencies spoke, every few
//! minutes, and kept in memory: it is no more than a hint, and wrong on a day that nobody has told
//! the exchange of.
//!
//! Holds: I5, I10, I14. Knows: store, directory, domain, clock, limits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::{Span, civil::Date};

use super::{
    Broker, projection,
    records::{self, Awaited, Missing, Refused, Review},
};
use crate::{
    clock::Moment,
    domain::{calendar::Calendar, vocabulary::Urgency},
    limits,
    proto::EntryType,
    store::View,
};

/// A time of the week: agencies have their days and hours.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many weeks running an agency spoke at this time of the week, if it usually does.
const WEEKS: u32 = 4;

/// All that is raised; the lists hold at most [`limits::RAISED_SHOWN`], the counts all.
#[derive(Debug, Clone, Default)]
pub struct Raised {
    /// Immediate and urgent concerns that were refused: the most urgent first, then the newest.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub refused_count: u64,
    /// What manifests count as sent and has not come, by agency and manifest, and how much of it.
    pub missing: Vec<(Missing, u64)>,
    /// How many statements are missing.
    pub missing_count: u64,
    /// Concerns outside any agreement that nobody has looked at yet, oldest first.
    pub reviews: Vec<(u64, Review)>,
    /// How many there are.
    pub reviews_count: u64,
    /// Agencies that usually speak at this time of the week.
    pub quiet: Arc<Vec<String>>,
}

/// Agencies that usually speak at this time of the week, as they were found last.
#[derive(Default)]
pub(super) struct Quiet {
    found: ArcSwap<Vec<String>>,
    /// Held by whoever looks, so that what is kept is never older than what it replaces.
    looking: Mutex<()>,
}

impl Raised {
    /// How many of the reviews that are listed are late.
    pub fn reviews_late(&self, now: Moment) -> u64 {
        self.reviews.iter().filter(|(_, review)| review.due <= now.seconds()).count() as u64
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.refused_count + self.missing_count + self.reviews_count == 0 && self.quiet.is_empty()
    }
}

impl Broker {
    /// All that is raised. It walks through what is awaited: not for an async thread.
    pub fn raised(&self) -> Raised {
        let index = self.index();
        let awaited = index.under(b"x", limits::RAISED_LOOKED_AT).into_iter();
        let awaited = awaited.filter_map(|(_, value)| postcard::from_bytes::<Awaited>(&value).ok());
        let (mut refused, mut missing) = (Vec::new(), BTreeMap::<Missing, u64>::new());
        for awaited in awaited {
            refused.extend(awaited.refused);
            awaited.missing.into_iter().for_each(|it| *missing.entry(it).or_default() += 1);
        }
        let mut missing: Vec<_> = missing.into_iter().collect();
        missing.truncate(limits::RAISED_SHOWN);
        Raised {
            refused: first_of(refused),
            refused_count: self.count(projection::raised::REFUSED),
            missing,
            missing_count: self.count(projection::raised::MISSING),
            reviews: records::numbered(index, b"v", limits::RAISED_SHOWN),
            reviews_count: self.count(projection::raised::REVIEWS),
            quiet: self.shared.quiet.found.load_full(),
        }
    }

    /// Whether an entry still waits to be stored by an inbox of this name.
    pub fn waits_at(&self, inbox: &str, entry: u64) -> bool {
        inbox.parse().is_ok_and(|inbox| self.waits(&inbox, entry))
    }

    /// Looks which agencies usually speak at this time of the week and did not today. It reads the
    /// index: not for an async thread.
    pub fn look_for_quiet(&self) {
        let quiet = &self.shared.quiet;
        let _alone = quiet.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, directory) = (self.now(), self.directory());
        let before: Option<Vec<_>> =
            (1..=WEEKS).map(|weeks| self.day_until(now.before(WEEK * weeks)?)).collect();
        let (Some(before), Some(today)) = (before, self.day_until(now)) else { return };
        let found = directory.agencies().filter(|agency| {
            let spoke = |day: &Range<u64>| self.spoke(&agency.id, day);
            let calendar = directory.inboxes_of(&agency.id).next();
            let calendar = calendar.and_then(|inbox| directory.calendar(inbox));
            let off = || calendar.is_some_and(|calendar| is_off(calendar, now.london_date()));
            before.iter().all(spoke) && !spoke(&today) && !off()
        });
        quiet.found.store(Arc::new(found.map(|agency| agency.id.clone()).collect()));
    }

    /// The entries of the day that ends at a moment, what was said this very moment included.
    fn day_until(&self, end: Moment) -> Option<Range<u64>> {
        let (begin, size) = (end.before(WINDOW)?, self.index().size());
        Some(self.first_at(begin.0, size)..self.first_at(end.0 + 1, size))
    }

    /// Whether an agency sent a concern among these entries. Of what has more than are looked at,
    /// the first ones say.
    fn spoke(&self, agency: &str, among: &Range<u64>) -> bool {
        let [from, to] = [among.start, among.end].map(|entry| records::agency_key(agency, entry));
        let entries = self.index().range(&from, &to).take(limits::SPOKE_ENTRIES_MAX);
        let metas = entries.filter_map(|(key, _)| records::entry_of(&key));
        metas
            .filter_map(|entry| records::meta(self.index(), entry))
            .any(|meta| records::kind_of(&meta) == EntryType::Concern && meta.sender == agency)
    }
}

/// Those to show: the most urgent first, then the newest; of one agency so many that others have
/// room.
fn first_of(mut refused: Vec<Refused>) -> Vec<Refused> {
    refused.sort_by_key(|it| (Urgency::effective(Some(&it.urgency)).0, Reverse(it.at)));
    let mut of: HashMap<String, usize> = HashMap::new();
    let (mut shown, rest): (Vec<_>, Vec<_>) = refused.into_iter().partition(|it| {
        let shown = of.entry(it.agency.clone()).or_default();
        *shown += 1;
        *shown <= limits::RAISED_SHOWN_PER_AGENCY
    });
    shown.extend(rest);
    shown.truncate(limits::RAISED_SHOWN);
    shown
}

/// Whether a calendar explains that nobody speaks: yesterday or today is a day off, and was not in
/// the weeks before.
fn is_off(calendar: &Calendar, today: Date) -> bool {
    let yesterday = today.yesterday().unwrap_or(today);
    [yesterday, today].into_iter().any(|day| {
        let before =
            (1..=WEEKS as i64).filter_map(|weeks| day.checked_sub(Span::new().weeks(weeks)).ok());
        !calendar.is_open_on(day) && before.into_iter().all(|day| calendar.is_open_on(day))
    })
}
