//! Profiles: stricter clocks that the guidance of a nation sets for a kind of sharing. An agreement
//! names those under which it is run.
//!
//! Each nation has a pack of them, each version with the days between which it is in force. A
//! profile can only tighten: of its clock and the urgency's the one that ends sooner holds.
//!
//! | profile | nation | acknowledgement | decision | source |
//! |---|---|---|---|---|
//! | `encompass` | England, Wales | before the next school day | | Victims and Prisoners Act 2024; Operation Encompass statutory guidance, 7 November 2025 |
//! | `england_csc_referral` | England | 1 working day | 1 working day | Working Together to Safeguard Children 2023 |
//! | `scotland_ird` | Scotland | | 1 working day | National Guidance for Child Protection in Scotland 2021, updated 2023 |
//!
//! Pure. Holds: I14. Knows: clock.

use jiff::civil::{Date, date};

use super::{calendar::Clock, deadline::Duty};

/// One version of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its stable name, as agreements have it.
    pub name: &'static str,
    /// What it is about, in words that people read.
    pub display: &'static str,
    /// The first day on which it is in force, in Europe/London.
    pub from: Date,
    /// The last, included; `None` while no end is known.
    pub until: Option<Date>,
    /// How long for the acknowledgement at most.
    pub acknowledge: Option<Clock>,
    /// How long for the decision at most.
    pub decide: Option<Clock>,
    /// Where it comes from.
    pub source: &'static str,
}

/// The profiles of a nation.
#[derive(Debug, Clone, Copy)]
pub struct Pack {
    /// The nation.
    pub nation: &'static str,
    /// Its profiles, each version one.
    pub profiles: &'static [Profile],
}

/// All packs.
pub const PACKS: [Pack; 3] = [
    Pack { nation: "england", profiles: &[ENCOMPASS, ENGLAND_CSC_REFERRAL] },
    Pack { nation: "scotland", profiles: &[SCOTLAND_IRD] },
    Pack { nation: "wales", profiles: &[ENCOMPASS] },
];

/// Police tell the school of a child who was affected by domestic abuse before its next day
/// begins, whatever the weekend or the holidays.
const ENCOMPASS: Profile = Profile {
    name: "encompass",
    display: "Operation Encompass: known before the next school day",
    from: date(2025, 11, 7),
    until: None,
    acknowledge: Some(Clock::NextSchoolDay),
    decide: None,
    source: "Victims and Prisoners Act 2024; Operation Encompass: statutory guidance, 7 November 2025",
};

/// A social worker acknowledges a referral and decides about the next steps within one working day.
const ENGLAND_CSC_REFERRAL: Profile = Profile {
    name: "england_csc_referral",
    display: "Referral to children's social care: acknowledged and decided in a working day",
    from: date(2023, 12, 15),
    until: None,
    acknowledge: Some(Clock::WorkingDays(1)),
    decide: Some(Clock::WorkingDays(1)),
    source: "Working Together to Safeguard Children 2023",
};

/// A discussion as soon as reasonably practical; where only immediate protection could be seen to
/// out of hours, the fuller one on the next working day.
const SCOTLAND_IRD: Profile = Profile {
    name: "scotland_ird",
    display: "Inter-agency referral discussion: held by the next working day",
    from: date(2021, 9, 2),
    until: None,
    acknowledge: None,
    decide: Some(Clock::WorkingDays(1)),
    source: "National Guidance for Child Protection in Scotland 2021, updated 2023",
};

impl Profile {
    /// The version of a name that is in force on a day.
    #[must_use]
    pub fn in_force(name: &str, day: Date) -> Option<&'static Self> {
        let mut versions = all().filter(|profile| profile.name == name);
        versions
            .find(|profile| profile.from <= day && profile.until.is_none_or(|until| day <= until))
    }

    /// Whether there is one of the name at all.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        all().any(|profile| profile.name == name)
    }

    /// How long it allows at most for a duty, if it says so.
    #[must_use]
    pub const fn time_allowed(&self, duty: Duty) -> Option<Clock> {
        match duty {
            Duty::Acknowledge => self.acknowledge,
            Duty::Decide => self.decide,
            Duty::Feedback => None,
        }
    }
}

/// Every version of every profile; one that nations share comes as often.
pub fn all() -> impl Iterator<Item = &'static Profile> {
    PACKS.iter().flat_map(|pack| pack.profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_one_version_is_in_force_on_a_day() {
        for pack in PACKS {
            for (number, one) in pack.profiles.iter().enumerate() {
                assert!(one.until.is_none_or(|until| one.from <= until), "{}", one.name);
                let others = pack.profiles[..number].iter().filter(|it| it.name == one.name);
                for other in others {
                    let apart = other.until.is_some_and(|until| until < one.from)
                        || one.until.is_some_and(|until| until < other.from);
                    assert!(apart, "two versions of {} on one day", one.name);
                }
            }
        }
    }

    #[test]
    fn a_profile_is_in_force_from_its_first_day_on() {
        assert_eq!(Profile::in_force("encompass", date(2025, 11, 6)), None);
        let first = Profile::in_force("encompass", date(2025, 11, 7)).unwrap();
        assert_eq!(first.time_allowed(Duty::Acknowledge), Some(Clock::NextSchoolDay));
        assert_eq!(first.time_allowed(Duty::Feedback), None);
        assert!(Profile::is_known("scotland_ird") && !Profile::is_known("scotland-ird"));
    }
}
