//! The versioned code lists: what a kind, a class, a category, an urgency… may be.
//!
//! Takes a code; says whether its list has it. A code that no list has is carried and flagged,
//! never refused (I13); only an outcome, which decides what happens next, must be a known one.
//! Pure: lists are constants, and a change of a list is a new version.
//! Holds: I13.
//! Knows: limits.

use std::fmt;

/// One code of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable word that travels in statements.
    pub code: &'static str,
    /// The words that people read.
    pub display: &'static str,
}

/// A versioned list of codes.
#[derive(Clone, Copy, Debug)]
pub struct CodeList {
    /// The list's name, such as `category`.
    pub name: &'static str,
    /// Raised by one whenever a code is added or its meaning changes; codes are never taken away.
    pub version: u32,
    /// The codes, in the order in which people should see them.
    pub codes: &'static [Code],
    /// Where the list comes from.
    pub source: &'static str,
}

impl CodeList {
    /// Whether the list has this code, letter for letter.
    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.find(code).is_some()
    }

    /// The words that people read for a code of this list.
    #[must_use]
    pub fn display(&self, code: &str) -> Option<&'static str> {
        self.find(code).map(|found| found.display)
    }

    fn find(&self, code: &str) -> Option<&'static Code> {
        self.codes.iter().find(|known| known.code == code)
    }
}

const fn code(code: &'static str, display: &'static str) -> Code {
    Code { code, display }
}

const OURS: &str = "Cairn vocabulary, version 0";

/// Kinds of concern document. The statements that answer one (`stored`, `acknowledgement`…) are
/// the wire's.
pub const DOCUMENT_KINDS: CodeList = CodeList {
    name: "kind",
    version: 0,
    source: OURS,
    codes: &[
        code("concern", "Concern"),
        code("additional_information", "Additional information"),
        code("information_request", "Request for information"),
        code("information_response", "Answer to a request for information"),
        code("discussion_request", "Request for a discussion (IRD or strategy)"),
        code("discussion_record", "Record of a discussion"),
        code("decision", "Decision"),
        code("feedback", "Feedback"),
        code("correction", "Correction"),
        code("withdrawal", "Withdrawal (deletes nothing)"),
        code("transfer", "Transfer"),
        code("involvement_ended", "Involvement ended"),
        code("challenge", "Challenge"),
        code("challenge_response", "Answer to a challenge"),
        code("not_shared", "Decided not to share"),
        code("manifest", "Manifest"),
        code("heartbeat", "Heartbeat"),
    ],
};

/// Classes of concern: the first choice, on which agreements turn.
pub const CLASSES: CodeList = CodeList {
    name: "class",
    version: 0,
    source: OURS,
    codes: &[
        code("child_protection", "Child protection: may indicate significant harm"),
        code("wellbeing", "Wellbeing or early help"),
        code("notification", "Notification: must be told, no decision expected"),
        code("allegation_against_staff", "Allegation against staff: restricted audience"),
        code("pre_birth", "Unborn child"),
    ],
};

/// Categories of concern: one primary, many secondary.
pub const CATEGORIES: CodeList = CodeList {
    name: "category",
    version: 0,
    source: OURS,
    codes: &[
        // Harm.
        code("neglect", "Neglect"),
        code("physical_abuse", "Physical abuse"),
        code("emotional_abuse", "Emotional abuse"),
        code("sexual_abuse", "Sexual abuse"),
        code("child_sexual_exploitation", "Child sexual exploitation"),
        code("child_criminal_exploitation", "Child criminal exploitation"),
        code("trafficking", "Trafficking"),
        code("online_harm", "Online harm"),
        code("harmful_sexual_behaviour", "Harmful sexual behaviour"),
        code("child_on_child_harm", "Harm by another child"),
        code("fgm", "Female genital mutilation"),
        code("honour_based_forced_marriage", "Honour-based abuse or forced marriage"),
        code("faith_or_belief_abuse", "Abuse linked to faith or belief"),
        code("fabricated_or_induced_illness", "Fabricated or induced illness"),
        code("radicalisation", "Radicalisation"),
        // The child's situation.
        code("missing", "Missing"),
        code("self_harm_or_suicide", "Self-harm or suicide"),
        code("child_mental_health", "Child's mental health"),
        code("child_substance_use", "Child's use of alcohol or drugs"),
        code("absence_from_education", "Absence from education"),
        code("not_brought_to_appointments", "Not brought to appointments"),
        code("bullying_or_hate", "Bullying or hate"),
        code("serious_harmful_behaviour", "Serious harmful behaviour"),
        code("young_carer", "Young carer"),
        code("private_fostering", "Private fostering"),
        code("unaccompanied_asylum_seeking", "Unaccompanied and seeking asylum"),
        code("disability_related", "Related to a disability"),
        // Adults and household.
        code("domestic_abuse", "Domestic abuse"),
        code("parental_substance_use", "Parent's use of alcohol or drugs"),
        code("parental_mental_ill_health", "Parent's mental ill health"),
        code("parental_learning_disability", "Parent's learning disability"),
        code("person_posing_risk_in_household", "Person posing a risk in the household"),
        code("services_finding_it_hard_to_engage", "Services find it hard to engage"),
        code("home_conditions", "Home conditions"),
        code("housing_or_poverty", "Housing or poverty"),
        // Other.
        code("non_recent_abuse", "Non-recent abuse"),
        code("community_or_place", "Community or place"),
        code("other", "Other"),
    ],
};

/// Urgencies; [`Urgency`] is the same list as a type.
pub const URGENCIES: CodeList = CodeList {
    name: "urgency",
    version: 0,
    source: OURS,
    codes: &[
        code("immediate", "Immediate: a child may be in danger now"),
        code("urgent", "Urgent: likely significant harm; act today"),
        code("prompt", "Prompt: significant concern, not immediate"),
        code("routine", "Routine: wellbeing or early help"),
        code("information", "Information: for the record"),
    ],
};

/// The outcome of what is for information alone: nothing follows, and nobody waits for feedback.
pub const NOTED: &str = "noted_for_information";

/// Outcomes a recipient can decide, those of an inter-agency referral discussion (IRD) included.
pub const OUTCOMES: CodeList = CodeList {
    name: "outcome",
    version: 0,
    source: OURS,
    codes: &[
        code("emergency_action", "Emergency action"),
        code("strategy_or_ird", "Strategy discussion or IRD"),
        code("section47_or_cp_investigation_joint", "Child protection investigation, joint"),
        code(
            "section47_or_cp_investigation_single_agency",
            "Child protection investigation, single agency",
        ),
        code("assessment", "Assessment or child's plan"),
        code("early_help_or_named_person_support", "Early help or named person support"),
        code("passed_to_allocated_worker", "Passed to the allocated worker (already open)"),
        code("referred_to_reporter", "Referred to the Children's Reporter"),
        code("referred_to_other_agency", "Referred to another agency, which owns it"),
        code("advice_or_signpost", "Advice given or signposted"),
        code("further_information_requested", "Further information asked for (clocks run on)"),
        code("linked_to_existing", "Linked to an existing concern"),
        code("noted_for_information", "Noted for information"),
        code("no_further_action", "No further action"),
        code("ird_held_cp_investigation", "IRD held: child protection investigation"),
        code(
            "ird_no_cp_investigation_named_person_informed",
            "IRD held: no investigation, named person informed",
        ),
        code("ird_further_enquiries", "IRD held: further enquiries"),
    ],
};

/// What came of looking at something that was sent outside any agreement.
pub const AGREEMENT_REVIEWS: CodeList = CodeList {
    name: "agreement_review",
    version: 0,
    source: OURS,
    codes: &[
        code("sharing_was_right", "It was right to share, and no agreement is needed"),
        code("sharing_was_wrong", "It should not have been shared"),
        code(
            "covered_by_an_agreement",
            "An agreement covers it: the statement named none, or another",
        ),
        code("agreement_to_be_made", "It was right to share, and an agreement will be made"),
    ],
};

/// Why there is no further action.
pub const NO_FURTHER_ACTION_REASONS: CodeList = CodeList {
    name: "no_further_action_reason",
    version: 0,
    source: OURS,
    codes: &[
        code("threshold_not_met", "Threshold not met"),
        code("already_addressed", "Already addressed"),
        code("no_evidence_found", "No evidence found"),
        code("not_in_area", "Not in our area"),
        code("unable_to_identify_child", "Unable to identify the child"),
        code("other", "Other"),
    ],
};

/// Kinds of agency.
pub const AGENCY_KINDS: CodeList = CodeList {
    name: "agency_kind",
    version: 0,
    source: "Cairn vocabulary, version 0, after the DfE children in need census (source of referral)",
    codes: &[
        code("social_work", "Social work"),
        code("early_help", "Early help"),
        code("police", "Police"),
        code("gp", "General practice"),
        code("health_visitor", "Health visiting"),
        code("school_nurse", "School nursing"),
        code("emergency_department", "Emergency department"),
        code("maternity", "Maternity"),
        code("ambulance", "Ambulance"),
        code("mental_health", "Mental health"),
        code("community_health", "Community and allied health"),
        code("school", "School"),
        code("early_years", "Early years"),
        code("education_authority", "Education authority"),
        code("housing", "Housing"),
        code("third_sector", "Third sector"),
        code("childrens_reporter", "Children's Reporter"),
        code("courts_probation_cafcass", "Courts, probation or Cafcass"),
        code("prosecution", "Prosecution"),
        code("prison", "Prison"),
        code("fire_rescue", "Fire and rescue"),
        code("adult_services", "Adult services"),
        code("out_of_hours_social_work", "Out-of-hours social work"),
        code("other", "Other"),
    ],
};

/// Who the concern came from. Never lowers urgency.
pub const SOURCE_TYPES: CodeList = CodeList {
    name: "source",
    version: 0,
    source: OURS,
    codes: &[
        code("professional", "Professional"),
        code("child_self", "The child"),
        code("parent_or_carer", "Parent or carer"),
        code("relative", "Relative"),
        code("neighbour_or_public", "Neighbour or member of the public"),
        code("anonymous", "Anonymous"),
        code("other_child", "Another child"),
    ],
};

/// Why the family was not told.
pub const FAMILY_NOT_TOLD_REASONS: CodeList = CodeList {
    name: "family_not_told_reason",
    version: 0,
    source: OURS,
    codes: &[
        code("would_increase_risk", "Would increase risk"),
        code("would_prejudice_crime_investigation", "Would prejudice the investigation of a crime"),
        code("could_not_contact", "Could not contact them"),
        code("emergency", "Emergency"),
        code("other", "Other"),
    ],
};

/// Lawful bases for sharing.
pub const LAWFUL_BASES: CodeList = CodeList {
    name: "lawful_basis",
    version: 0,
    source: "UK GDPR Article 6(1); Data Protection Act 2018 Part 3",
    codes: &[
        code("legal_obligation", "Legal obligation, Article 6(1)(c)"),
        code("vital_interests", "Vital interests, Article 6(1)(d)"),
        code("public_task", "Public task, Article 6(1)(e)"),
        code("recognised_legitimate_interest", "Recognised legitimate interest, Article 6(1)(ea)"),
        code("legitimate_interests", "Legitimate interests, Article 6(1)(f)"),
        code("consent", "Consent, Article 6(1)(a)"),
        code("law_enforcement", "Law enforcement, DPA 2018 Part 3"),
    ],
};

/// Every list, for whoever shows or documents them.
pub const ALL: &[&CodeList] = &[
    &DOCUMENT_KINDS,
    &CLASSES,
    &CATEGORIES,
    &URGENCIES,
    &OUTCOMES,
    &NO_FURTHER_ACTION_REASONS,
    &AGENCY_KINDS,
    &SOURCE_TYPES,
    &FAMILY_NOT_TOLD_REASONS,
    &LAWFUL_BASES,
];

/// How soon people must act. Most urgent first, so that `min` is the more urgent of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A child may be in danger now.
    Immediate,
    /// Likely significant harm; act today.
    Urgent,
    /// Significant concern, not immediate.
    Prompt,
    /// Wellbeing or early help.
    Routine,
    /// For the record.
    Information,
}

impl Urgency {
    /// Most urgent first.
    pub const ALL: [Self; 5] =
        [Self::Immediate, Self::Urgent, Self::Prompt, Self::Routine, Self::Information];

    /// The urgency of a code, letter for letter; `None` if no list has it.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| urgency.as_str() == code)
    }

    /// Whether it cannot wait as long as another.
    #[must_use]
    pub fn is_above(self, other: Self) -> bool {
        self < other
    }

    /// Whether it waits for no working hours and no agreement, and wakes people at night.
    #[must_use]
    pub const fn cannot_wait(self) -> bool {
        matches!(self, Self::Immediate | Self::Urgent)
    }

    /// The code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Urgent => "urgent",
            Self::Prompt => "prompt",
            Self::Routine => "routine",
            Self::Information => "information",
        }
    }

    /// What a stated urgency runs as, and whether it was known.
    ///
    /// A missing or unknown one runs as urgent: better asked too soon than too late.
    #[must_use]
    pub fn effective(stated: Option<&str>) -> (Self, bool) {
        match stated.and_then(Self::parse) {
            Some(urgency) => (urgency, true),
            None => (Self::Urgent, false),
        }
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an outcome can be decided for a concern of this urgency.
///
/// `noted_for_information` is only for `information`; every other known outcome is for all, since
/// what was sent for the record may turn out to need action.
#[must_use]
pub fn outcome_allowed(outcome: &str, urgency: Urgency) -> bool {
    OUTCOMES.contains(outcome)
        && (outcome != "noted_for_information" || urgency == Urgency::Information)
}

/// Whether an outcome must come with a reason of [`NO_FURTHER_ACTION_REASONS`].
#[must_use]
pub fn outcome_needs_reason(outcome: &str) -> bool {
    outcome == "no_further_action"
}

#[cfg(test)]
mod tests;
