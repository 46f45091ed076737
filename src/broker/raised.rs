//! What is raised beside deadlines: an urgent concern that was refused, what a manifest found
//! missing, what came outside any agreement, an agency that usually speaks and does not.
//!
//! The first three are the fold's. The last is worked out from when agencies spoke, every few
//! minutes, and kept in memory: it is no more than a hint, and wrong on a day that nobody has told
//! the exchange of.
//!
//! Holds: I5, I10, I14. Knows: store, directory, domain, clock, limits.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::{Span, civil::Date};

use super::{
    Broker,
    records::{self, Missing, Refused, Review},
};
use crate::{clock::Moment, domain::calendar::Calendar, limits, proto::EntryType};

/// A time of the week: agencies have their days and hours.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many weeks running an agency spoke at this time of the week, if it usually does.
const WEEKS: u32 = 4;

/// All that is raised.
#[derive(Debug, Clone, Default)]
pub struct Raised {
    /// Immediate and urgent concerns that were refused, by the entry of the refusal.
    pub refused: Vec<(u64, Refused)>,
    /// What agencies count as sent and has not come, by the agency and the entry of its manifest.
    pub missing: Vec<(String, u64, Missing)>,
    /// Concerns outside any agreement that nobody has looked at yet.
    pub reviews: Vec<(u64, Review)>,
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
    /// How many statements are missing.
    pub fn missing_count(&self) -> u64 {
        self.missing.iter().map(|(.., missing)| missing.requests.len() as u64).sum()
    }

    /// How many reviews are late.
    pub fn reviews_late(&self, now: Moment) -> u64 {
        self.reviews.iter().filter(|(_, review)| review.due <= now.seconds()).count() as u64
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        let Self { refused, missing, reviews, quiet } = self;
        refused.is_empty() && missing.is_empty() && reviews.is_empty() && quiet.is_empty()
    }
}

impl Broker {
    /// All that is raised; of each kind at most [`limits::RAISED_SHOWN`], oldest first.
    pub fn raised(&self) -> Raised {
        let index = self.index();
        let most = limits::RAISED_SHOWN;
        let refused = records::numbered::<Refused>(index, b"x", most).into_iter();
        let missing = records::numbered::<Missing>(index, b"m", most).into_iter();
        let reviews = records::numbered::<Review>(index, b"v", most).into_iter();
        let missing = missing.map(|(key, entry, missing)| {
            let agency = key.get(1..key.len().saturating_sub(9)).unwrap_or_default();
            (String::from_utf8_lossy(agency).into_owned(), entry, missing.still(index))
        });
        Raised {
            refused: refused
                .filter(|(.., refused)| !refused.is_over(index))
                .map(|(_, entry, refused)| (entry, refused))
                .collect(),
            missing: missing.filter(|(.., missing)| !missing.requests.is_empty()).collect(),
            reviews: reviews.map(|(_, concern, review)| (concern, review)).collect(),
            quiet: self.shared.quiet.found.load_full(),
        }
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
