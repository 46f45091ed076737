//! The life of one delivery: a state machine without a clock.
//!
//! Takes a delivery and what a party says about it; gives the delivery after it, or a refusal that
//! leaves it as it was. Deadlines are not here: being stored, redirected or withdrawn neither
//! stops nor restarts a clock.
//!
//! ```text
//!            stored           acknowledged        decided         feedback_sent       feedback
//!            (holder)           (holder)          (holder)          (holder)       stored (sender)
//!  ┌────────┐     ┌────────┐     ┌──────────────┐     ┌─────────┐     ┌───────────────┐     ┌────────┐
//!  │ Queued ├────►│ Stored ├────►│ Acknowledged ├────►│ Decided ├────►│ FeedbackSent  ├────►│ Closed │
//!  └─┬────▲─┘     └───┬────┘     └──┬────┬───▲──┘     └─┬──▲──▲─┘     └───────┬───────┘     └────────┘
//!    │    │           │             │    └───┘          └──┘  └───────────────┘
//!    │    └───────────┴─────────────┘  another person   decided again: feedback is due anew
//!    │      redirected, misdirected:
//!    │      the next holder, not opened
//!    ▼ withdrawn (sender)
//!  ┌───────────┐
//!  │ Withdrawn │   Withdrawn later than Queued is announced, and the holder confirms; the state
//!  └───────────┘   stays, because somebody may already have begun to act.
//!
//!  offered (exchange)     A stand-in may acknowledge it before the decision, and holds it then;
//!                         whom it was taken over from may take it back.
//!
//!  owes the next action:  Queued         the exchange: it must deliver
//!                         Stored, Acknowledged, Decided    the holder
//!                         FeedbackSent   the sender: its system must store
//!                         cannot open    the sender, in any state, until it has sealed anew
//! ```
//!
//! Pure: no clock, no I/O.
//! Holds: I6, I7.
//! Knows: nothing.

mod event;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::event::{Actor, Event};
use super::ids::InboxId;
use super::refusal::Refusal;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Accepted, not yet on the holder's disk.
    Queued,
    /// The holder's system signed that it has it on disk.
    Stored,
    /// A named person in a duty role took ownership.
    Acknowledged,
    /// The holder decided.
    Decided,
    /// The holder told the sender.
    FeedbackSent,
    /// The sender's system has stored the feedback. The end.
    Closed,
    /// Withdrawn before it was stored. An end, though nobody owned it.
    Withdrawn,
}

impl State {
    /// In the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Stored,
        Self::Acknowledged,
        Self::Decided,
        Self::FeedbackSent,
        Self::Closed,
        Self::Withdrawn,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Stored => "stored",
            Self::Acknowledged => "acknowledged",
            Self::Decided => "decided",
            Self::FeedbackSent => "feedback_sent",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether somebody still owes something.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Closed | Self::Withdrawn)
    }

    /// On the holder's disk, and not over.
    const fn is_held(self) -> bool {
        self.is_open() && !matches!(self, Self::Queued)
    }

    /// Before a decision.
    const fn is_undecided(self) -> bool {
        matches!(self, Self::Queued | Self::Stored | Self::Acknowledged)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trouble {
    /// The holder has no key for it; the sender must seal anew.
    CannotOpen,
    /// The holder's system could not take it; the exchange goes on trying.
    NotTaken,
}

/// A withdrawal that came after the delivery was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Withdrawal {
    /// The sender said so.
    Announced,
    /// The holder has seen it.
    Confirmed,
}

/// A call to the holder, which never changes the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phone {
    /// Somebody told the holder by telephone.
    Told,
    /// The holder confirmed it and named who took it: that counts as ownership.
    Confirmed,
}

/// Who owes the next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party<'d> {
    /// The exchange must deliver.
    Exchange,
    /// Nobody: it is over.
    Nobody,
    /// The inbox that holds it.
    Recipient(&'d InboxId),
    /// The sender must store feedback or seal anew.
    Sender,
}

/// What an event did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The delivery after it. It can equal the one before, when only the person changed.
    Changed(Delivery),
    /// It was said before; nothing new follows from it.
    Unchanged,
}

/// One statement on its way to one inbox. It names no person: those are in details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The inbox that the sender named.
    pub addressed: InboxId,
    /// The inbox that has it now; another one only after a redirection.
    pub holder: InboxId,
    /// Where it stands.
    pub state: State,
    /// Whether a person of the holder has read it.
    pub opened: bool,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
    /// A withdrawal after it was stored.
    pub withdrawal: Option<Withdrawal>,
    /// The last outcome decided.
    pub outcome: Option<String>,
    /// A call to the holder.
    pub phone: Option<Phone>,
    /// The inboxes that can take it over: those that a rung has offered it to, and whom it was
    /// taken over from.
    pub stand_ins: Vec<InboxId>,
}

impl Delivery {
    /// A delivery at its beginning.
    #[must_use]
    pub fn new(addressed: InboxId) -> Self {
        Self {
            holder: addressed.clone(),
            addressed,
            state: State::Queued,
            opened: false,
            trouble: None,
            withdrawal: None,
            outcome: None,
            phone: None,
            stand_ins: Vec::new(),
        }
    }

    /// Whether somebody still owes something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Whether a named person of the holder owns it, by acknowledgement or by a confirmed call.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.phone == Some(Phone::Confirmed)
            || matches!(
                self.state,
                State::Acknowledged | State::Decided | State::FeedbackSent | State::Closed
            )
    }

    /// The one party that owes the next action (I6).
    #[must_use]
    pub fn responsible(&self) -> Party<'_> {
        match (self.state, self.trouble) {
            (State::Closed | State::Withdrawn, _) => Party::Nobody,
            (_, Some(Trouble::CannotOpen)) => Party::Sender,
            (State::Queued, _) => Party::Exchange,
            (State::Stored | State::Acknowledged | State::Decided, _) => {
                Party::Recipient(&self.holder)
            }
            (State::FeedbackSent, _) => Party::Sender,
        }
    }

    /// The delivery after an event.
    ///
    /// # Errors
    /// [`Refusal::OutOfTurn`] if this cannot be said now, or not by this party;
    /// [`Refusal::NextOwnerRequired`] if a redirection names the holder itself.
    pub fn apply(&self, by: Actor, event: &Event) -> Result<Applied, Refusal> {
        if by != event.speaker() {
            return Err(self.out_of_turn(event));
        }
        match (event, self.state) {
            (Event::Opened, State::Closed) => Ok(Applied::Unchanged),
            (_, State::Closed | State::Withdrawn) => Err(self.out_of_turn(event)),
            (Event::Stored, State::Queued) => Ok(self.stored()),
            (Event::Stored, _) => Ok(Applied::Unchanged),
            (Event::NotTaken, State::Queued) => {
                Ok(self.with(|next| next.trouble = next.trouble.or(Some(Trouble::NotTaken))))
            }
            (Event::CannotOpen, state) if state.is_undecided() => {
                Ok(self.with(|next| next.trouble = Some(Trouble::CannotOpen)))
            }
            (Event::Opened, state) if state.is_held() => Ok(self.with(|next| {
                next.opened = true;
                next.trouble = None;
            })),
            (Event::Acknowledged, State::Stored | State::Acknowledged) => {
                Ok(self.advanced(State::Acknowledged))
            }
            (
                Event::Decided { outcome },
                State::Acknowledged | State::Decided | State::FeedbackSent,
            ) => Ok(self.decided(outcome)),
            (Event::FeedbackSent, State::Decided) => Ok(self.advanced(State::FeedbackSent)),
            (Event::FeedbackStored, State::FeedbackSent) => Ok(self.advanced(State::Closed)),
            (
                Event::Redirected { next } | Event::Misdirected { next },
                State::Stored | State::Acknowledged,
            ) => self.passed_to(next),
            (Event::Resealed, _) => Ok(self.with(|next| {
                next.trouble = next.trouble.filter(|trouble| *trouble != Trouble::CannotOpen);
            })),
            (Event::WithdrawnBySender, State::Queued) => Ok(self.advanced(State::Withdrawn)),
            (Event::WithdrawnBySender, _) => Ok(self.with(|next| {
                next.withdrawal = next.withdrawal.or(Some(Withdrawal::Announced));
            })),
            (Event::WithdrawalConfirmed, state) if state.is_held() && self.withdrawal.is_some() => {
                Ok(self.with(|next| next.withdrawal = Some(Withdrawal::Confirmed)))
            }
            (Event::ToldByPhone, _) => {
                Ok(self.with(|next| next.phone = next.phone.or(Some(Phone::Told))))
            }
            (Event::ToldByPhoneConfirmed, state)
                if state.is_undecided() && self.phone.is_some() =>
            {
                Ok(self.with(|next| next.phone = Some(Phone::Confirmed)))
            }
            (Event::Offered { to }, _) => Ok(self.offered(to)),
            (Event::TakenOver { by }, state)
                if state.is_undecided() && self.stand_ins.contains(by) =>
            {
                Ok(self.taken_over(by))
            }
            _ => Err(self.out_of_turn(event)),
        }
    }

    /// A change that says nothing new if it changes nothing.
    fn with(&self, change: impl FnOnce(&mut Self)) -> Applied {
        let mut next = self.clone();
        change(&mut next);
        if next == *self { Applied::Unchanged } else { Applied::Changed(next) }
    }

    fn advanced(&self, state: State) -> Applied {
        Applied::Changed(Self { state, ..self.clone() })
    }

    fn stored(&self) -> Applied {
        // What could not be taken has been taken; what cannot be opened still cannot.
        let trouble = self.trouble.filter(|trouble| *trouble != Trouble::NotTaken);
        Applied::Changed(Self { state: State::Stored, trouble, ..self.clone() })
    }

    fn decided(&self, outcome: &str) -> Applied {
        // Who decided got at the substance some other way, and owes feedback: were the trouble
        // to stay, the sender would seem to owe the next action and nobody would ask for it.
        Applied::Changed(Self {
            state: State::Decided,
            outcome: Some(outcome.to_owned()),
            trouble: None,
            ..self.clone()
        })
    }

    fn offered(&self, to: &InboxId) -> Applied {
        self.with(|next| {
            if *to != next.holder && !next.stand_ins.contains(to) {
                next.stand_ins.push(to.clone());
            }
        })
    }

    /// The one it was taken over from can take it back.
    fn taken_over(&self, by: &InboxId) -> Applied {
        let others = self.stand_ins.iter().filter(|stand_in| *stand_in != by);
        Applied::Changed(Self {
            holder: by.clone(),
            state: State::Acknowledged,
            opened: false,
            trouble: None,
            withdrawal: self.withdrawal.map(|_| Withdrawal::Announced),
            phone: None,
            stand_ins: others.chain([&self.holder]).cloned().collect(),
            ..self.clone()
        })
    }

    fn passed_to(&self, next: &InboxId) -> Result<Applied, Refusal> {
        if *next == self.holder {
            return Err(Refusal::NextOwnerRequired);
        }
        Ok(Applied::Changed(Self {
            holder: next.clone(),
            state: State::Queued,
            opened: false,
            // The new holder has confirmed nothing, and was not called.
            withdrawal: self.withdrawal.map(|_| Withdrawal::Announced),
            phone: None,
            stand_ins: self
                .stand_ins
                .iter()
                .filter(|stand_in| *stand_in != next)
                .cloned()
                .collect(),
            // Who could not open it cannot have wrapped it for the next: trouble stays.
            ..self.clone()
        }))
    }

    fn out_of_turn(&self, event: &Event) -> Refusal {
        Refusal::OutOfTurn { state: self.state, wanted: event.as_str() }
    }
}

#[cfg(test)]
mod tests;
