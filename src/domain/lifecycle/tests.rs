//! Lives of a delivery: the ones drawn, the ones refused, and any at all (I6, I7).

use proptest::prelude::*;

use super::*;

fn inbox(text: &str) -> InboxId {
    text.parse().unwrap()
}

fn decided(outcome: &str) -> Event {
    Event::Decided { outcome: outcome.to_owned() }
}

fn redirected(next: &str) -> Event {
    Event::Redirected { next: inbox(next) }
}

fn misdirected(next: &str) -> Event {
    Event::Misdirected { next: inbox(next) }
}

fn offered(to: &str) -> Event {
    Event::Offered { to: inbox(to) }
}

fn taken_over(by: &str) -> Event {
    Event::TakenOver { by: inbox(by) }
}

/// A new delivery after these events, each said by the one who can say it.
fn after(events: &[Event]) -> Delivery {
    events.iter().fold(Delivery::new(inbox("sw-a/duty")), |delivery, event| {
        match delivery.apply(event.speaker(), event).unwrap() {
            Applied::Changed(next) => next,
            Applied::Unchanged => delivery,
        }
    })
}

/// What saying one more event does.
fn then(events: &[Event], event: &Event) -> Result<Applied, Refusal> {
    after(events).apply(event.speaker(), event)
}

/// The shortest way to each state.
fn way_to(state: State) -> Vec<Event> {
    let way = [
        Event::Stored,
        Event::Acknowledged,
        decided("assessment"),
        Event::FeedbackSent,
        Event::FeedbackStored,
    ];
    match state {
        State::Queued => vec![],
        State::Stored => way[..1].to_vec(),
        State::Acknowledged => way[..2].to_vec(),
        State::Decided => way[..3].to_vec(),
        State::FeedbackSent => way[..4].to_vec(),
        State::Closed => way.to_vec(),
        State::Withdrawn => vec![Event::WithdrawnBySender],
    }
}

fn every_event() -> Vec<Event> {
    vec![
        Event::Stored,
        Event::NotTaken,
        Event::CannotOpen,
        Event::Opened,
        Event::Acknowledged,
        decided("assessment"),
        Event::FeedbackSent,
        Event::FeedbackStored,
        redirected("sw-b/duty"),
        misdirected("sw-c/duty"),
        Event::Resealed,
        Event::WithdrawnBySender,
        Event::WithdrawalConfirmed,
        Event::ToldByPhone,
        Event::ToldByPhoneConfirmed,
        offered("sw-d/duty"),
        taken_over("sw-d/duty"),
    ]
}

#[test]
fn the_whole_way_has_one_responsible_party_at_each_step() {
    let duty = inbox("sw-a/duty");
    for (state, party) in [
        (State::Queued, Party::Exchange),
        (State::Stored, Party::Recipient(&duty)),
        (State::Acknowledged, Party::Recipient(&duty)),
        (State::Decided, Party::Recipient(&duty)),
        (State::FeedbackSent, Party::Sender),
        (State::Closed, Party::Nobody),
        (State::Withdrawn, Party::Nobody),
    ] {
        let delivery = after(&way_to(state));
        assert_eq!(delivery.state, state);
        assert_eq!(delivery.responsible(), party, "{state}");
        assert_eq!(delivery.is_open(), party != Party::Nobody);
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
}

/// Each state's column: may it be said there by the one who can say it? `=` is a repeat.
#[test]
fn each_event_is_taken_in_the_states_the_design_allows() {
    let allowed = [
        // queued, stored, acknowledged, decided, feedback_sent, closed, withdrawn
        ("stored", "+====--"),
        ("not_taken", "+------"),
        ("cannot_open", "+++----"),
        ("opened", "-++++=-"),
        ("acknowledged", "-++----"),
        ("decided", "--+++--"),
        ("feedback_sent", "---+---"),
        ("feedback_stored", "----+--"),
        ("redirected", "-++----"),
        ("misdirected", "-++----"),
        ("resealed", "=====--"),
        ("withdrawn", "+++++--"),
        ("withdrawal_confirmed", "-------"),
        ("told_by_phone", "+++++--"),
        ("told_by_phone_confirmed", "-------"),
        ("offered", "+++++--"),
        ("taken_over", "-------"),
    ];
    for (event, (word, marks)) in every_event().iter().zip(allowed) {
        assert_eq!(event.as_str(), word);
        for (state, mark) in State::ALL.into_iter().zip(marks.chars()) {
            let result = match then(&way_to(state), event) {
                Ok(Applied::Changed(_)) => '+',
                Ok(Applied::Unchanged) => '=',
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::OutOfTurn { state, wanted: event.as_str() });
                    '-'
                }
            };
            assert_eq!(result, mark, "{word} in {state}");
        }
    }
}

#[test]
fn nobody_speaks_in_another_s_part() {
    for state in State::ALL {
        for event in every_event() {
            for by in [Actor::Exchange, Actor::Holder, Actor::Sender, Actor::StandIn] {
                if by != event.speaker() {
                    assert!(after(&way_to(state)).apply(by, &event).is_err(), "{by:?} {event:?}");
                }
            }
        }
    }
}

#[test]
fn the_exchange_never_moves_a_delivery() {
    for state in State::ALL {
        for event in every_event() {
            let delivery = after(&way_to(state));
            if let Ok(Applied::Changed(next)) = delivery.apply(Actor::Exchange, &event) {
                assert_eq!((next.state, next.holder), (delivery.state, delivery.holder));
            }
        }
    }
}

#[test]
fn redelivers_after_not_taken_until_stored() {
    let delivery = after(&[Event::NotTaken, Event::NotTaken]);
    assert_eq!((delivery.state, delivery.trouble), (State::Queued, Some(Trouble::NotTaken)));
    assert_eq!(delivery.responsible(), Party::Exchange);
    let delivery = after(&[Event::NotTaken, Event::Stored]);
    assert_eq!((delivery.state, delivery.trouble), (State::Stored, None));
}

#[test]
fn what_cannot_be_opened_is_the_sender_s_until_sealed_anew() {
    for state in [State::Queued, State::Stored, State::Acknowledged] {
        let mut way = way_to(state);
        way.push(Event::CannotOpen);
        assert_eq!(after(&way).responsible(), Party::Sender, "{state}");
        assert_eq!(then(&way, &Event::CannotOpen), Ok(Applied::Unchanged));
        way.push(Event::Resealed);
        assert_eq!(after(&way), after(&way_to(state)));
    }
    let queued = after(&[Event::CannotOpen, Event::NotTaken, Event::Stored]);
    assert_eq!((queued.state, queued.trouble), (State::Stored, Some(Trouble::CannotOpen)));
}

#[test]
fn sealing_anew_does_not_hide_that_it_was_not_taken() {
    assert_eq!(then(&[Event::NotTaken], &Event::Resealed), Ok(Applied::Unchanged));
    assert_eq!(after(&[Event::NotTaken]).trouble, Some(Trouble::NotTaken));
}

#[test]
fn who_opened_or_decided_owes_the_next_action_again() {
    let opened = after(&[Event::Stored, Event::CannotOpen, Event::Opened]);
    assert_eq!(opened.responsible(), Party::Recipient(&opened.holder));
    let way = [Event::Stored, Event::Acknowledged, Event::CannotOpen, decided("assessment")];
    let decided = after(&way);
    assert_eq!(decided.responsible(), Party::Recipient(&decided.holder));
}

#[test]
fn a_redirect_keeps_the_delivery_and_asks_the_next_holder_from_the_start() {
    for pass in [redirected("sw-b/duty"), misdirected("sw-b/duty")] {
        let mut way = way_to(State::Acknowledged);
        way.extend([
            Event::Opened,
            Event::ToldByPhone,
            Event::ToldByPhoneConfirmed,
            Event::WithdrawnBySender,
            Event::WithdrawalConfirmed,
            pass,
        ]);
        let delivery = after(&way);
        assert_eq!(delivery.addressed, inbox("sw-a/duty"));
        assert_eq!(delivery.holder, inbox("sw-b/duty"));
        assert_eq!((delivery.state, delivery.opened), (State::Queued, false));
        assert_eq!((delivery.phone, delivery.is_owned()), (None, false));
        assert_eq!(delivery.withdrawal, Some(Withdrawal::Announced));
    }
}

#[test]
fn a_redirect_to_the_holder_itself_names_no_next_owner() {
    for state in [State::Stored, State::Acknowledged] {
        for pass in [redirected("sw-a/duty"), misdirected("sw-a/duty")] {
            assert_eq!(then(&way_to(state), &pass), Err(Refusal::NextOwnerRequired));
        }
    }
}

#[test]
fn a_redirect_does_not_hide_that_it_cannot_be_opened() {
    let delivery = after(&[Event::Stored, Event::CannotOpen, misdirected("sw-b/duty")]);
    assert_eq!(delivery.responsible(), Party::Sender);
}

#[test]
fn a_withdrawal_before_it_is_stored_ends_it_and_later_is_announced() {
    let delivery = after(&[Event::WithdrawnBySender]);
    assert_eq!((delivery.state, delivery.withdrawal), (State::Withdrawn, None));
    let mut way = way_to(State::Decided);
    way.push(Event::WithdrawnBySender);
    let announced = after(&way);
    assert_eq!(announced.state, State::Decided);
    assert_eq!(announced.withdrawal, Some(Withdrawal::Announced));
    assert_eq!(then(&way, &Event::WithdrawnBySender), Ok(Applied::Unchanged));
    way.push(Event::WithdrawalConfirmed);
    assert_eq!(after(&way).withdrawal, Some(Withdrawal::Confirmed));
    assert_eq!(then(&way, &Event::WithdrawalConfirmed), Ok(Applied::Unchanged));
    assert_eq!(then(&way, &Event::WithdrawnBySender), Ok(Applied::Unchanged));
}

#[test]
fn a_call_owns_only_once_the_holder_confirms_it() {
    let told = after(&[Event::ToldByPhone]);
    assert_eq!((told.phone, told.is_owned()), (Some(Phone::Told), false));
    let confirmed = after(&[Event::ToldByPhone, Event::ToldByPhoneConfirmed, Event::ToldByPhone]);
    assert_eq!((confirmed.phone, confirmed.is_owned()), (Some(Phone::Confirmed), true));
    // It must still be delivered.
    assert_eq!((confirmed.state, confirmed.responsible()), (State::Queued, Party::Exchange));
}

#[test]
fn a_stand_in_takes_it_over_only_once_offered_and_before_the_decision() {
    for state in [State::Queued, State::Stored, State::Acknowledged] {
        let mut way = way_to(state);
        assert!(then(&way, &taken_over("sw-b/duty")).is_err());
        way.push(offered("sw-b/duty"));
        assert_eq!(after(&way).responsible(), after(&way_to(state)).responsible(), "offered only");
        way.push(taken_over("sw-b/duty"));
        let taken = after(&way);
        assert_eq!((taken.state, &taken.holder), (State::Acknowledged, &inbox("sw-b/duty")));
        assert_eq!(taken.responsible(), Party::Recipient(&inbox("sw-b/duty")));
        way.push(taken_over("sw-a/duty"));
        assert_eq!(after(&way).holder, inbox("sw-a/duty"), "and given back");
    }
    let mut way = way_to(State::Decided);
    way.push(offered("sw-b/duty"));
    assert!(then(&way, &taken_over("sw-b/duty")).is_err());
}

#[test]
fn another_decision_needs_feedback_anew() {
    let mut way = way_to(State::FeedbackSent);
    way.push(decided("emergency_action"));
    let delivery = after(&way);
    assert_eq!(delivery.state, State::Decided);
    assert_eq!(delivery.outcome.as_deref(), Some("emergency_action"));
    assert!(then(&way, &Event::FeedbackStored).is_err());
}

#[test]
fn another_person_may_take_over_what_was_acknowledged() {
    let way = way_to(State::Acknowledged);
    assert_eq!(then(&way, &Event::Acknowledged), Ok(Applied::Changed(after(&way))));
}

fn any_event() -> impl Strategy<Value = (Actor, Event)> {
    let inboxes = prop::sample::select(vec!["sw-a/duty", "sw-b/duty", "gp-c/duty"]);
    let event =
        (prop::sample::select(every_event()), inboxes).prop_map(|(event, next)| match event {
            Event::Redirected { .. } => redirected(next),
            Event::Misdirected { .. } => misdirected(next),
            Event::Offered { .. } => offered(next),
            Event::TakenOver { .. } => taken_over(next),
            other => other,
        });
    let actors = vec![Actor::Exchange, Actor::Holder, Actor::Sender, Actor::StandIn];
    let speaker = prop_oneof![
        8 => Just(None),
        1 => prop::sample::select(actors).prop_map(Some),
    ];
    (event, speaker).prop_map(|(event, by)| (by.unwrap_or(event.speaker()), event))
}

/// Any sequence, but likely enough to reach the end: ordinary steps are mixed in.
fn any_life() -> impl Strategy<Value = Vec<(Actor, Event)>> {
    let ordinary =
        prop::sample::select(way_to(State::Closed)).prop_map(|event| (event.speaker(), event));
    prop::collection::vec(prop_oneof![any_event(), ordinary], 0..60)
}

proptest! {
    #[test]
    fn any_life_holds_the_invariants(life in any_life()) {
        let mut delivery = Delivery::new(inbox("sw-a/duty"));
        let (mut acknowledged, mut outcome) = (false, false);
        for (by, event) in life {
            let before = delivery.clone();
            let result = delivery.apply(by, &event);
            // A refusal, and a repeat, leave it as it was: `apply` takes it by reference.
            prop_assert_eq!(&delivery, &before);
            if let Ok(Applied::Changed(next)) = result {
                prop_assert!(before.is_open(), "changed after its end");
                let passed = matches!(event, Event::Redirected { .. } | Event::Misdirected { .. });
                let taken = matches!(event, Event::TakenOver { .. });
                prop_assert_eq!(next.holder != before.holder, passed || taken);
                prop_assert!(!next.stand_ins.contains(&next.holder), "it stands in for itself");
                prop_assert_eq!(&next.addressed, &before.addressed);
                acknowledged = (acknowledged && !passed) || event == Event::Acknowledged || taken;
                outcome = (outcome && !passed) || matches!(event, Event::Decided { .. });
                delivery = next;
            }
            prop_assert_eq!(delivery.is_open(), delivery.responsible() != Party::Nobody);
            prop_assert_eq!(delivery.outcome.is_some(), outcome);
            if delivery.state == State::Closed {
                prop_assert!(acknowledged && outcome, "closed by nobody's decision");
                prop_assert!(delivery.is_owned());
            }
            if delivery.state == State::Withdrawn {
                prop_assert!(!delivery.is_owned() || delivery.phone == Some(Phone::Confirmed));
            }
        }
    }

    #[test]
    fn saying_it_twice_changes_nothing_more(life in any_life()) {
        let mut delivery = Delivery::new(inbox("sw-a/duty"));
        for (by, event) in life {
            if let Ok(Applied::Changed(next)) = delivery.apply(by, &event) {
                if let Ok(Applied::Changed(again)) = next.apply(by, &event) {
                    prop_assert_eq!(&again, &next);
                }
                delivery = next;
            }
        }
    }
}
