//! Fair shares: how much each agency may have under way at once, and all together.
//!
//! Takes an agency and a size before any work is done for it; gives a place that is
//! given back when it is dropped. A flood from one agency fills its own share and
//! no other's, so that whoever says little always gets through. Beyond its first few
//! places an agency shares in what all have, and concerns leave a part of that to
//! acknowledgements and other steps.
//!
//! Holds: I10. Knows: domain, limits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{domain::ids::AgencyId, limits};

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Admission {
    shares: Mutex<HashMap<AgencyId, Load>>,
    statements: AtomicUsize,
    kibibytes: AtomicUsize,
    freed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    statements: usize,
    kibibytes: usize,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    agency: AgencyId,
    kibibytes: usize,
    /// One of the few places that an agency has whatever others do.
    of_its_own: bool,
}

/// There is no place now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Admission {
    /// A place for something of this many bytes.
    ///
    /// # Errors
    /// [`Full`]: come again later.
    pub(super) fn enter(
        self: &Arc<Self>,
        agency: &AgencyId,
        bytes: usize,
    ) -> Result<Admitted, Full> {
        let kibibytes = bytes / 1_024 + 1;
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let load = shares.get(agency).copied().unwrap_or_default();
        let of_its_own = load.statements < limits::STATEMENTS_OF_ITS_OWN
            && load.kibibytes <= limits::KIBIBYTES_OF_ITS_OWN;
        let in_share = load.statements < limits::STATEMENTS_PER_AGENCY_MAX
            && load.kibibytes + kibibytes <= limits::KIBIBYTES_PER_AGENCY_MAX;
        let in_all = self.statements.load(Ordering::Relaxed) < limits::STATEMENTS_MAX
            && self.kibibytes.load(Ordering::Relaxed) + kibibytes <= limits::KIBIBYTES_MAX;
        let admitted = of_its_own || (in_share && in_all);
        if !admitted {
            return Err(Full);
        }
        let load = shares.entry(agency.clone()).or_default();
        load.statements += 1;
        load.kibibytes += kibibytes;
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.kibibytes.fetch_add(kibibytes, Ordering::Relaxed);
        Ok(Admitted { admission: Arc::clone(self), agency: agency.clone(), kibibytes, of_its_own })
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.statements.load(Ordering::Relaxed)
    }

    /// The same, waiting for a place: for streams, whose senders are held back by not being read.
    pub(super) async fn wait(self: &Arc<Self>, agency: &AgencyId, bytes: usize) -> Admitted {
        loop {
            // Listen before looking, so that no place freed in between is missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Ok(admitted) = self.enter(agency, bytes) {
                return admitted;
            }
            freed.await;
        }
    }
}

impl Admitted {
    /// Whether a concern may go on from this place: the last part is for steps.
    pub(super) fn takes_concerns(&self) -> bool {
        let under_way = self.admission.statements.load(Ordering::Relaxed);
        self.of_its_own || under_way <= limits::CONCERNS_MAX
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.admission;
        {
            let mut shares = admission.shares.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(load) = shares.get_mut(&self.agency) {
                load.statements -= 1;
                load.kibibytes -= self.kibibytes;
                if load.statements == 0 {
                    shares.remove(&self.agency);
                }
            }
            admission.statements.fetch_sub(1, Ordering::Relaxed);
            admission.kibibytes.fetch_sub(self.kibibytes, Ordering::Relaxed);
        }
        admission.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agency(name: &str) -> AgencyId {
        name.parse().unwrap()
    }

    /// I10: one agency's flood leaves the others what they had.
    #[test]
    fn a_flood_fills_the_share_of_its_agency_alone() {
        let admission = Arc::new(Admission::default());
        let flood = agency("police");
        let mut places = Vec::new();
        while let Ok(place) = admission.enter(&flood, 4_096) {
            places.push(place);
        }
        assert_eq!(places.len(), limits::STATEMENTS_PER_AGENCY_MAX);
        assert!(admission.enter(&agency("school"), 4_096).is_ok());
        places.pop();
        assert!(admission.enter(&flood, 4_096).is_ok(), "a place given back is a place again");
    }

    #[test]
    fn a_share_has_a_bound_in_bytes_too() {
        let admission = Arc::new(Admission::default());
        let mut places = Vec::new();
        while let Ok(place) = admission.enter(&agency("police"), limits::ENVELOPE_BYTES_MAX) {
            places.push(place);
        }
        let most = limits::KIBIBYTES_PER_AGENCY_MAX / (limits::ENVELOPE_BYTES_MAX / 1_024);
        assert!((2..=most).contains(&places.len()), "{}", places.len());
    }

    #[test]
    fn when_many_flood_everyone_keeps_a_few_places_and_steps_go_before_concerns() {
        let admission = Arc::new(Admission::default());
        let mut places = Vec::new();
        for number in 0..limits::STATEMENTS_MAX / limits::STATEMENTS_PER_AGENCY_MAX + 1 {
            while let Ok(place) = admission.enter(&agency(&format!("agency-{number}")), 4_096) {
                places.push(place);
            }
        }
        let late = agency("school");
        let own: Vec<_> = std::iter::from_fn(|| admission.enter(&late, 4_096).ok()).collect();
        assert_eq!(own.len(), limits::STATEMENTS_OF_ITS_OWN);
        assert!(own.iter().all(Admitted::takes_concerns));
        assert!(!places.last().is_some_and(|place| !place.of_its_own && place.takes_concerns()));
        drop((places, own));
        assert!(admission.shares.lock().unwrap().is_empty(), "it remembers nobody who is gone");
        assert_eq!(admission.statements.load(Ordering::Relaxed), 0);
        assert_eq!(admission.kibibytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place() {
        let admission = Arc::new(Admission::default());
        let flood = agency("police");
        let mut places: Vec<_> = std::iter::from_fn(|| admission.enter(&flood, 100).ok()).collect();
        let waiting = Arc::clone(&admission);
        let waits = tokio::spawn(async move { waiting.wait(&agency("police"), 100).await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        places.pop();
        waits.await.unwrap();
    }
}
