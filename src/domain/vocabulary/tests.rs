//! The lists, and the rules that read them.

use std::collections::BTreeSet;

use super::super::ids::is_code_shaped;
use super::*;
use crate::limits::CODE_BYTES_MAX;

#[test]
fn every_code_is_unique_in_its_list_and_fits_a_statement() {
    let mut names = BTreeSet::new();
    for list in ALL {
        assert!(names.insert(list.name), "{}", list.name);
        let mut codes = BTreeSet::new();
        for known in list.codes {
            assert!(codes.insert(known.code), "{} {}", list.name, known.code);
            assert!(is_code_shaped(known.code, CODE_BYTES_MAX), "{}", known.code);
            assert!(!known.display.trim().is_empty());
        }
    }
}

#[test]
fn a_code_is_compared_letter_for_letter() {
    assert!(CATEGORIES.contains("neglect"));
    for near in ["Neglect", " neglect", "neglect ", "", "neglect\0"] {
        assert!(!CATEGORIES.contains(near), "{near:?}");
    }
    assert_eq!(CATEGORIES.display("fgm"), Some("Female genital mutilation"));
    assert_eq!(CATEGORIES.display("sibling_harm"), None);
}

#[test]
fn the_urgency_type_and_list_agree() {
    let listed: Vec<_> = URGENCIES.codes.iter().map(|known| known.code).collect();
    assert_eq!(listed, Urgency::ALL.map(Urgency::as_str));
    assert_eq!(Urgency::Immediate.min(Urgency::Routine), Urgency::Immediate);
}

#[test]
fn a_missing_or_unknown_urgency_runs_as_urgent() {
    assert_eq!(Urgency::effective(None), (Urgency::Urgent, false));
    assert_eq!(Urgency::effective(Some("asap")), (Urgency::Urgent, false));
    assert_eq!(Urgency::effective(Some("Routine")), (Urgency::Urgent, false));
    assert_eq!(Urgency::effective(Some("urgent")), (Urgency::Urgent, true));
    assert_eq!(Urgency::effective(Some("information")), (Urgency::Information, true));
}

#[test]
fn only_information_is_noted_for_information() {
    for urgency in Urgency::ALL {
        let noted = outcome_allowed("noted_for_information", urgency);
        assert_eq!(noted, urgency == Urgency::Information);
        assert!(outcome_allowed("assessment", urgency));
        assert!(!outcome_allowed("forgotten", urgency));
    }
    assert!(outcome_needs_reason("no_further_action"));
    assert!(!outcome_needs_reason("assessment"));
}
