//! The words of the exchange, as types. One word, one meaning.
//!
//! | word | meaning | here |
//! |---|---|---|
//! | exchange | one running Cairn, with an origin name | [`ExchangeName`] |
//! | agency, system, inbox | an organisation; one of its computers; a duty role that receives | [`AgencyId`], [`SystemName`], [`InboxId`] |
//! | statement | anything an agency says through Cairn; a request id makes saying it twice harmless | [`RequestId`] |
//! | body | the personal part, sealed to the recipients | [`document::Body`] |
//! | entry | one record of the ledger | [`EntryNumber`] |
//! | agreement | a data-sharing agreement: parties, classes, lawful bases, dates | [`AgreementId`] |
//! | concern document | the JSON form that people and small systems write | [`document::Document`] |
//! | flag | something about an accepted statement to look at twice | [`document::Flag`] |
//! | code list | what a kind, class, category, urgency or outcome may be | [`vocabulary::CodeList`], [`Urgency`] |
//! | delivery | one statement on its way to one inbox; a redirect keeps it | [`lifecycle::Delivery`] |
//! | stored | the recipient's *system* has it on disk | [`lifecycle::State::Stored`] |
//! | opened | a person read it | [`lifecycle::Event::Opened`] |
//! | acknowledged | a *named person* in a duty role took ownership | [`lifecycle::State::Acknowledged`] |
//! | decision, feedback | what the recipient decided; the statement that tells the sender | [`lifecycle::Event`] |
//! | deadline | by when a person must have acted, and who is told when not | [`deadline::Deadline`] |
//! | profile | a stricter clock that a nation's guidance sets | [`profile::Profile`] |
//! | calendar, clock | when somebody works; how a time allowed is counted | [`calendar::Calendar`], [`calendar::Clock`] |
//! | refusal | Cairn said no: a stable code, and what to do | [`Refusal`] |
//!
//! Pure: no async, no clock, no chance, nothing read or written.
//! Holds: I6, I12, I13.
//! Knows: limits.

pub mod calendar;
pub mod deadline;
pub mod document;
pub mod identifiers;
pub mod ids;
pub mod lifecycle;
pub mod profile;
pub mod refusal;
pub mod vocabulary;

pub use document::{Document, Flag, Flags, Malformed};
pub use ids::{
    AgencyId, AgreementId, AreaId, EntryNumber, ExchangeName, IdError, InboxId, RequestId,
    RoleName, SystemName,
};
pub use lifecycle::{Delivery, State};
pub use refusal::{Condition, Refusal, RefusalKind};
pub use vocabulary::Urgency;
