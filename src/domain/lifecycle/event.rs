//! What is said about a delivery, and in what part.
//!
//! Pure. Holds: I6. Knows: nothing.

use crate::domain::ids::InboxId;

/// In what part a party speaks about a delivery. Anyone else is refused before it comes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The exchange itself. It never acknowledges, decides or gives feedback.
    Exchange,
    /// The agency whose inbox holds the delivery.
    Holder,
    /// The agency that sent it.
    Sender,
    /// The agency of an inbox that a rung has offered it to.
    StandIn,
}

/// What a party says about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The holder's system has it on disk.
    Stored,
    /// The holder's system could not take it.
    NotTaken,
    /// The holder has no key that opens it.
    CannotOpen,
    /// A person of the holder read it.
    Opened,
    /// A named person took ownership; said again, another person did.
    Acknowledged,
    /// The holder decided; said again, it decided anew.
    Decided {
        /// A code of the outcome list; checked before.
        outcome: String,
    },
    /// The holder told the sender.
    FeedbackSent,
    /// The sender's system has the feedback on disk.
    FeedbackStored,
    /// The holder passes it on.
    Redirected {
        /// The inbox that has it from now on.
        next: InboxId,
    },
    /// The holder says that it never was theirs.
    Misdirected {
        /// The inbox that has it from now on.
        next: InboxId,
    },
    /// The sender sealed the body anew.
    Resealed,
    /// The sender withdraws what it said.
    WithdrawnBySender,
    /// The holder has seen the withdrawal.
    WithdrawalConfirmed,
    /// The exchange records that the holder was told by telephone.
    ToldByPhone,
    /// The holder confirms that, and names who took it.
    ToldByPhoneConfirmed,
    /// The exchange offers it to a stand-in too.
    Offered {
        /// The inbox that can take it from now on.
        to: InboxId,
    },
    /// A named person of a stand-in took ownership.
    TakenOver {
        /// The inbox that has it from now on.
        by: InboxId,
    },
}

impl Event {
    /// The stable word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::NotTaken => "not_taken",
            Self::CannotOpen => "cannot_open",
            Self::Opened => "opened",
            Self::Acknowledged => "acknowledged",
            Self::Decided { .. } => "decided",
            Self::FeedbackSent => "feedback_sent",
            Self::FeedbackStored => "feedback_stored",
            Self::Redirected { .. } => "redirected",
            Self::Misdirected { .. } => "misdirected",
            Self::Resealed => "resealed",
            Self::WithdrawnBySender => "withdrawn",
            Self::WithdrawalConfirmed => "withdrawal_confirmed",
            Self::ToldByPhone => "told_by_phone",
            Self::ToldByPhoneConfirmed => "told_by_phone_confirmed",
            Self::Offered { .. } => "offered",
            Self::TakenOver { .. } => "taken_over",
        }
    }

    /// The only one who can say it.
    #[must_use]
    pub const fn speaker(&self) -> Actor {
        match self {
            Self::ToldByPhone | Self::Offered { .. } => Actor::Exchange,
            Self::TakenOver { .. } => Actor::StandIn,
            Self::FeedbackStored | Self::Resealed | Self::WithdrawnBySender => Actor::Sender,
            Self::Stored
            | Self::NotTaken
            | Self::CannotOpen
            | Self::Opened
            | Self::Acknowledged
            | Self::Decided { .. }
            | Self::FeedbackSent
            | Self::Redirected { .. }
            | Self::Misdirected { .. }
            | Self::WithdrawalConfirmed
            | Self::ToldByPhoneConfirmed => Actor::Holder,
        }
    }
}
