use std::time::Duration;

use super::*;

const NOW: Moment = Moment(1_780_000_000_000_000_000);
const WORDS: &str = "heather granite lapwing";

struct World {
    folder: tempfile::TempDir,
    people: People,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let people = open(&folder);
        Self { folder, people }
    }

    /// As after a restart.
    fn reopened(self) -> Self {
        let people = open(&self.folder);
        Self { people, ..self }
    }

    fn joined(&self, sign_in: &str) -> SignedIn {
        let link = self.people.invite(&person(sign_in), NOW).unwrap();
        self.people.join(link.as_str(), WORDS, NOW).unwrap()
    }
}

fn open(folder: &tempfile::TempDir) -> People {
    People::open(&folder.path().join("people.json"), "cairn.example/test".parse().unwrap()).unwrap()
}

fn person(sign_in: &str) -> Person {
    Person {
        sign_in: sign_in.parse().unwrap(),
        agency: "exchange".parse().unwrap(),
        system: "console".parse().unwrap(),
        name: "R. Okafor".into(),
        post: "duty manager".into(),
        staff_id: String::new(),
        until: NOW.after(Duration::from_secs(30 * 24 * 3600)).seconds(),
    }
}

fn later(time: Duration) -> Moment {
    NOW.after(time)
}

#[test]
fn a_link_is_good_once_and_the_passphrase_from_then_on() {
    let world = World::new();
    let link = world.people.invite(&person("okafor"), NOW).unwrap();
    assert_eq!(world.people.invited(link.as_str(), NOW).unwrap().name, "R. Okafor");
    let begun = world.people.join(link.as_str(), WORDS, NOW).unwrap();
    assert!(world.people.session(begun.cookie.as_str(), NOW).is_some());
    let again = world.people.join(link.as_str(), WORDS, NOW);
    assert!(matches!(again, Err(Fault::LinkUnknown)));

    let world = world.reopened();
    let session = world.people.session(begun.cookie.as_str(), NOW).expect("a restart ends nothing");
    assert_eq!(session.person, person("okafor"));
    assert_eq!(session.form, begun.session.form);
    world.people.sign_in("okafor", WORDS, NOW).unwrap();
    assert!(matches!(world.people.sign_in("okafor", "another one, long", NOW), Err(Fault::Wrong)));
    assert!(matches!(world.people.sign_in("nobody", WORDS, NOW), Err(Fault::Wrong)));
}

#[test]
fn a_link_ends_and_so_does_a_person() {
    let world = World::new();
    let link = world.people.invite(&person("okafor"), NOW).unwrap();
    let late = later(limits::LINK_TIME_MAX);
    assert!(matches!(world.people.join(link.as_str(), WORDS, late), Err(Fault::LinkExpired(_))));
    let begun = world.joined("okafor");
    let over = Moment::of_seconds(person("okafor").until);
    assert!(world.people.session(begun.cookie.as_str(), over).is_none());
    assert!(matches!(world.people.sign_in("okafor", WORDS, over), Err(Fault::AccessEnded(_))));
    world.people.end(&"okafor".parse().unwrap(), NOW).unwrap();
    assert!(world.people.session(begun.cookie.as_str(), NOW).is_none());
    assert!(matches!(world.people.sign_in("okafor", WORDS, NOW), Err(Fault::Wrong)));
}

#[test]
fn acting_takes_a_passphrase_of_the_last_hour() {
    let world = World::new();
    let begun = world.joined("okafor");
    let late = later(limits::PROOF_TIME_MAX);
    let session = world.people.session(begun.cookie.as_str(), late).unwrap();
    assert!(begun.session.may_act(NOW) && !session.may_act(late));
    let wrong = world.people.sign_in_again(&session, "not this one at all", late);
    assert!(matches!(wrong, Err(Fault::Wrong)));
    world.people.sign_in_again(&session, WORDS, late).unwrap();
    assert!(world.people.session(begun.cookie.as_str(), late).unwrap().may_act(late));
    let over = later(limits::PROOF_TIME_MAX + limits::SESSION_TIME_MAX);
    assert!(world.people.session(begun.cookie.as_str(), over).is_none());
}

#[test]
fn guessing_has_to_wait_longer_and_longer() {
    let world = World::new();
    world.joined("okafor");
    for _ in 0..limits::WRONG_PASSPHRASES_MAX {
        assert!(matches!(world.people.sign_in("okafor", "x", NOW), Err(Fault::Wrong)));
    }
    let Err(Fault::Wait(first)) = world.people.sign_in("okafor", WORDS, NOW) else {
        panic!("the right one has to wait too");
    };
    assert_eq!(first, limits::WRONG_PASSPHRASE_DELAY);
    let then = later(first);
    assert!(matches!(world.people.sign_in("okafor", "x", then), Err(Fault::Wrong)));
    let Err(Fault::Wait(second)) = world.people.sign_in("okafor", WORDS, then) else {
        panic!("it has to wait again");
    };
    assert_eq!(second, 2 * first);
    world.people.sign_in("okafor", WORDS, then.after(second)).unwrap();
}

#[test]
fn a_new_link_ends_what_was_before_once_it_is_used() {
    let world = World::new();
    let before = world.joined("okafor");
    let link = world.people.invite(&person("okafor"), NOW).unwrap();
    assert!(
        world.people.session(before.cookie.as_str(), NOW).is_some(),
        "a link alone ends nothing"
    );
    world.people.join(link.as_str(), "quite another passphrase", NOW).unwrap();
    assert!(world.people.session(before.cookie.as_str(), NOW).is_none());
    assert!(matches!(world.people.sign_in("okafor", WORDS, NOW), Err(Fault::Wrong)));
}

#[test]
fn the_bounds_hold() {
    let world = World::new();
    let link = world.people.invite(&person("okafor"), NOW).unwrap();
    let short = "x".repeat(limits::PASSPHRASE_CHARS_MIN - 1);
    assert!(matches!(world.people.join(link.as_str(), &short, NOW), Err(Fault::Passphrase)));
    let long = "x".repeat(limits::PASSPHRASE_BYTES_MAX + 1);
    assert!(matches!(world.people.join(link.as_str(), &long, NOW), Err(Fault::Passphrase)));
    let most = "x".repeat(limits::PASSPHRASE_BYTES_MAX);
    world.people.join(link.as_str(), &most, NOW).unwrap();
    let first = world.people.sign_in("okafor", &most, NOW).unwrap();
    for _ in 0..limits::SESSIONS_PER_PERSON_MAX {
        world.people.sign_in("okafor", &most, NOW).unwrap();
    }
    assert!(world.people.session(first.cookie.as_str(), NOW).is_none(), "the oldest is over");
    let elsewhere = Person { agency: "police".parse().unwrap(), ..person("okafor") };
    assert!(matches!(world.people.invite(&elsewhere, NOW), Err(Fault::Taken)));
}

#[test]
fn the_file_holds_nothing_that_opens() {
    let world = World::new();
    let link = world.people.invite(&person("second"), NOW).unwrap();
    let begun = world.joined("okafor");
    let path = world.folder.path().join("people.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in [link.as_str(), begun.cookie.as_str(), &begun.session.form, WORDS] {
        assert!(!text.contains(secret));
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, text.replacen('{', "{\"newer\": 1,", 1)).unwrap();
    let refused = People::open(&path, "cairn.example/test".parse().unwrap());
    assert!(matches!(refused, Err(Fault::Kept { .. })));
}
