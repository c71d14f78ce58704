use super::*;
use crate::recovery::Pepper;
use crate::testing::decisions;
use crate::verify::step_at;
use portcullis_core::{SealError, Secret};
use proptest::prelude::*;
use std::time::Duration;

mod model;

const START: Timestamp = Timestamp::from_unix_secs(1_700_000_010);
const SECRET: &[u8; 20] = b"12345678901234567890";

/// The keys, the policy and the codes of one user, and the row as the last decision left it.
struct Rig {
    sealer: Sealer,
    policy: MfaPolicy,
    pepper: Pepper,
    codes: Codes,
    place: Key,
    birth: Timestamp,
    held: Option<Vec<u8>>,
}

impl Rig {
    fn new(policy: MfaPolicy) -> Self {
        Self {
            sealer: Sealer::new(1, &Secret::from(vec![7; 32])).unwrap(),
            policy,
            pepper: Pepper::new(&Secret::from(vec![7; 32])).unwrap(),
            codes: Codes::of(&Secret::from(SECRET.as_slice())).unwrap(),
            place: Key::new(portcullis_core::Scope::new("second-factor"), b"alice"),
            birth: Timestamp::UNIX_EPOCH,
            held: None,
        }
    }

    /// Alice, enrolled at the start with the code of that step.
    fn enrolled(policy: MfaPolicy) -> Self {
        let mut rig = Self::new(policy);
        assert!(rig.enrol(START).is_ok());
        assert_eq!(rig.confirm(step_at(START), START), Ok(()));
        rig
    }

    fn apply<T>(&mut self, (answer, next): Decision<T>) -> Result<T, Error> {
        match next {
            Next::Put { value, .. } => self.held = Some(value.as_bytes().to_vec()),
            Next::Remove => self.held = None,
            Next::Keep | Next::Settled => {}
        }
        answer
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            sealer: &self.sealer,
            policy: &self.policy,
            place: &self.place,
            birth: self.birth,
            now,
        }
    }

    fn fresh(&self, number: u8) -> Fresh {
        let code = |place: u8| Recovery {
            used: false,
            digest: self
                .pepper
                .digest("alice", &[number.wrapping_add(place); 15]),
        };
        Fresh {
            generation: Generation::from_bytes([number; 8]),
            recovery: (0..10).map(code).collect(),
        }
    }

    fn enrol(&mut self, now: Timestamp) -> Result<Timestamp, Error> {
        let sealed = self.sealer.seal(&self.place, SECRET, [1; 12]);
        let decided = enrol(self.held.as_deref(), &sealed, &self.policy, now);
        self.apply(decided)
    }

    fn confirm(&mut self, step: u64, now: Timestamp) -> Result<(), Error> {
        let digits = self.codes.at_step(step);
        let fresh = self.fresh(0);
        let decided = confirm(
            self.held.as_deref(),
            self.context(now),
            Some(&digits),
            &fresh,
        );
        self.apply(decided)
    }

    fn digits(&mut self, digits: &[u8; 6], now: Timestamp) -> Result<Generation, Error> {
        let decided = totp(self.held.as_deref(), self.context(now), digits);
        self.apply(decided)
    }

    fn code(&mut self, step: u64, now: Timestamp) -> Result<Generation, Error> {
        let digits = *self.codes.at_step(step);
        self.digits(&digits, now)
    }

    fn recovery(&mut self, code: u8, now: Timestamp) -> Result<Generation, Error> {
        let digest = self.pepper.digest("alice", &[code; 15]);
        let decided = recovery_code(self.held.as_deref(), &digest, now);
        self.apply(decided)
    }

    fn standing(&mut self, now: Timestamp) -> Standing {
        let (answer, next) = standing(self.held.as_deref(), &self.policy, now);
        assert_eq!(next, Next::Keep);
        answer.unwrap()
    }

    /// Six digits that are no code of any step near `now`.
    fn wrong(&self, now: Timestamp) -> [u8; 6] {
        let near: Vec<_> = (step_at(now).saturating_sub(4)..=step_at(now) + 4)
            .map(|step| *self.codes.at_step(step))
            .collect();
        let digits = [*b"000000", *b"111111", *b"222222", *b"333333", *b"444444"];
        let found = digits.into_iter().find(|digits| !near.contains(digits));
        found.unwrap()
    }
}

fn policy() -> MfaPolicy {
    MfaPolicy::new("Example").unwrap()
}

fn later(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

const WRONG: Error = Error::Wrong {
    newly_blocked: false,
};

#[test]
fn a_row_that_does_not_decode_grants_nothing_and_only_a_reset_removes_it() {
    for (what, next) in decisions(Some(b"junk"), START) {
        assert!(what.contains(" Err(") || what == "reset true", "{what}");
        assert_eq!(next, Next::Keep);
    }
    assert_eq!(reset(Some(b"junk"), START), (true, Next::Remove));
    assert_eq!(reset(None, START), (false, Next::Keep));
}

#[test]
fn a_code_that_was_good_before_the_stores_memory_begins_is_refused_to_the_nanosecond() {
    let step = step_at(START) + 4;
    let code_when_born = |birth| {
        let mut rig = Rig::enrolled(policy());
        rig.birth = birth;
        rig.code(step, later(120)).map(drop)
    };
    // Of one step's window: good from ninety seconds after the start on.
    let nano = Duration::from_nanos(1);
    assert_eq!(code_when_born(later(90)), Ok(()));
    let refused = code_when_born(later(90).saturating_add(nano));
    assert_eq!(refused, Err(Error::Replayed));
    // What the store has known from its birth on was used before then by nobody.
    let known_when_born = |birth| {
        let mut rig = Rig::enrolled(policy().window_steps(2).unwrap());
        rig.birth = birth;
        rig.code(step_at(START) + 1, START).map(drop)
    };
    assert_eq!(known_when_born(START), Ok(()));
    let refused = known_when_born(START.saturating_add(nano));
    assert_eq!(refused, Err(Error::Replayed));
}

#[test]
fn an_enrolment_is_undone_while_it_is_the_one_that_was_meant() {
    let mut rig = Rig::enrolled(policy());
    let meant = rig.code(step_at(START) + 1, later(30)).unwrap();
    let held = rig.held.as_deref();
    assert_eq!(undo(held, meant, later(30)), (Ok(true), Next::Remove));
    let other = Generation::from_bytes([0xff; 8]);
    assert_eq!(undo(held, other, later(30)), (Ok(false), Next::Keep));
    assert_eq!(undo(None, meant, later(30)), (Ok(false), Next::Keep));
    // The confirmation may be yet to come: it finds nothing to complete.
    let mut begun = Rig::new(policy());
    assert!(begun.enrol(START).is_ok());
    let held = begun.held.as_deref();
    assert_eq!(undo(held, meant, later(30)), (Ok(false), Next::Remove));
    let over = later(3600);
    assert_eq!(undo(held, meant, over), (Ok(false), Next::Keep));
    assert_eq!(undo(Some(b"junk"), meant, over).1, Next::Keep);
}

#[test]
fn a_sealed_secret_too_short_for_codes_grants_nothing() {
    let mut rig = Rig::new(policy());
    let sealed = rig.sealer.seal(&rig.place, &[7; 15], [1; 12]);
    let decided = enrol(None, &sealed, &rig.policy, START);
    rig.apply(decided).unwrap();
    assert_eq!(rig.confirm(step_at(START), START), Err(Error::Corrupt));
}

#[test]
fn a_secret_under_an_older_key_is_good_and_sealed_anew_once() {
    let mut rig = Rig::enrolled(policy());
    let new_key = Secret::from(vec![8; 32]);
    let old_key = Secret::from(vec![7; 32]);
    rig.sealer = Sealer::new(2, &new_key)
        .unwrap()
        .and_opens(1, &old_key)
        .unwrap();
    assert!(
        rig.code(step_at(later(60)), later(60)).is_ok(),
        "not resealed yet"
    );
    for due in [true, false] {
        let decided = reseal(rig.held.as_deref(), rig.context(later(90)), [2; 12]);
        assert_eq!(rig.apply(decided), Ok(due));
    }
    // The old key can be given up now, and what was used stays used.
    rig.sealer = Sealer::new(2, &new_key).unwrap();
    assert_eq!(
        rig.code(step_at(later(60)), later(60)),
        Err(Error::Replayed)
    );
    assert!(rig.code(step_at(later(120)), later(120)).is_ok());
    rig.sealer = Sealer::new(1, &old_key).unwrap();
    let unknown = Err(Error::Seal(SealError::UnknownKey(2)));
    assert_eq!(rig.code(step_at(later(180)), later(180)), unknown);
    let decided = reseal(rig.held.as_deref(), rig.context(later(180)), [3; 12]);
    assert_eq!(
        rig.apply(decided),
        Err(Error::Seal(SealError::UnknownKey(2)))
    );
}

#[test]
fn resealing_what_is_not_there_or_is_over_does_nothing() {
    let mut rig = Rig::new(policy());
    let context = rig.context(START);
    assert_eq!(reseal(None, context, [2; 12]), (Ok(false), Next::Keep));
    let over = rig.enrol(START).unwrap();
    let decided = reseal(rig.held.as_deref(), rig.context(over), [2; 12]);
    assert_eq!(decided, (Ok(false), Next::Keep));
}

#[test]
fn an_enrolment_is_good_to_its_last_nanosecond_and_forgotten_by_a_confirmation_after_it() {
    let over = START.saturating_add(Duration::from_secs(600));
    let last = Timestamp::from_unix_nanos(over.as_unix_nanos() - 1);
    let mut rig = Rig::new(policy());
    assert_eq!(rig.enrol(START), Ok(over));
    assert!(rig.standing(last).pending && !rig.standing(over).pending);
    assert_eq!(rig.confirm(step_at(over), over), Err(Error::NotPending));
    assert_eq!(rig.held, None);
    assert_eq!(rig.enrol(START), Ok(over));
    assert_eq!(rig.confirm(step_at(last), last), Ok(()));
}

#[test]
fn wrong_codes_at_a_confirmation_count_and_block_that_enrolment_alone() {
    let mut rig = Rig::new(policy().wrong_codes(2).unwrap());
    rig.enrol(START).unwrap();
    let wrong = rig.wrong(START);
    let shown = |rig: &mut Rig, digits: Option<&[u8; 6]>| {
        let fresh = rig.fresh(0);
        let decided = confirm(rig.held.as_deref(), rig.context(START), digits, &fresh);
        rig.apply(decided)
    };
    assert_eq!(shown(&mut rig, None), Err(WRONG), "a recovery code");
    assert_eq!(shown(&mut rig, Some(&wrong)), Err(WRONG));
    let newly_blocked = true;
    assert_eq!(
        shown(&mut rig, Some(&wrong)),
        Err(Error::Wrong { newly_blocked })
    );
    assert_eq!(rig.confirm(step_at(START), START), Err(Error::Blocked));
    rig.enrol(START).unwrap();
    assert_eq!(rig.confirm(step_at(START), START), Ok(()));
}

#[test]
fn a_proof_is_good_to_the_end_of_its_life_and_not_after_a_change() {
    let mut rig = Rig::enrolled(policy());
    let claim = Claim {
        kind: Kind::Totp,
        at: START,
        generation: Generation::from_bytes([0; 8]),
    };
    let fresh = rig.fresh(100);
    let made =
        |rig: &Rig, claim, now| regenerate(rig.held.as_deref(), claim, &fresh, &rig.policy, now);
    let (end, after) = (
        later(300),
        later(300).saturating_add(Duration::from_nanos(1)),
    );
    assert_eq!(made(&rig, claim, after).0, Err(Error::ProofTooOld));
    let other = Claim {
        generation: Generation::from_bytes([1; 8]),
        ..claim
    };
    assert_eq!(made(&rig, other, end).0, Err(Error::ProofOutdated));
    let by_recovery = Claim {
        kind: Kind::RecoveryCode,
        ..claim
    };
    assert_eq!(
        made(&rig, by_recovery, end).0,
        Err(Error::NotByRecoveryCode)
    );
    let decided = made(&rig, claim, end);
    assert_eq!(rig.apply(decided), Ok(()));
    assert_eq!(rig.standing(end).generation, Some(fresh.generation));
    assert_eq!(made(&rig, claim, end).0, Err(Error::ProofOutdated));
    assert_eq!(
        remove(rig.held.as_deref(), claim, &rig.policy, end).0,
        Err(Error::ProofOutdated)
    );
    let new = Claim {
        generation: fresh.generation,
        ..by_recovery
    };
    assert_eq!(
        remove(rig.held.as_deref(), new, &rig.policy, after).0,
        Err(Error::ProofTooOld)
    );
    assert_eq!(
        remove(rig.held.as_deref(), new, &rig.policy, end),
        (Ok(()), Next::Remove)
    );
    assert_eq!(
        remove(None, new, &rig.policy, end),
        (Err(Error::NotEnrolled), Next::Keep)
    );
}

proptest! {
    #[test]
    fn what_has_expired_decides_like_none(created in any::<u64>(), life in any::<u32>(), failures in 0..=100_u16, after in any::<u64>()) {
        let created = Timestamp::from_unix_nanos(created);
        let expires_at = created.saturating_add(Duration::from_secs(life.into()));
        let place = crate::guard::place_of("alice");
        let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).unwrap();
        let sealed = sealer.seal(&place, SECRET, [1; 12]);
        let row = Row::Pending(Pending { failures, created, expires_at, sealed });
        let now = expires_at.saturating_add(Duration::from_nanos(after));
        prop_assert_eq!(decisions(Some(&row.encode()), now), decisions(None, now));
    }

    #[test]
    fn a_clock_that_steps_back_and_forth_accepts_steps_in_ascending_order_alone(
        moves in proptest::collection::vec((-400_i64..400, -1_i64..=1), 1..60),
    ) {
        let mut rig = Rig::enrolled(policy());
        let (mut now, mut newest) = (START, step_at(START));
        for (secs, off) in moves {
            let at = now.as_unix_secs().saturating_add_signed(secs);
            now = Timestamp::from_unix_secs(at);
            let step = step_at(now).saturating_add_signed(off);
            match rig.code(step, now) {
                Ok(_) => {
                    prop_assert!(step > newest);
                    newest = step;
                }
                Err(error) => {
                    prop_assert_eq!(error, Error::Replayed);
                    prop_assert!(step <= newest);
                }
            }
        }
    }

    #[test]
    fn an_enrolment_once_refused_as_over_stays_over_wherever_the_clock_goes(ahead in 0..1_000_000_u64, back in 0..1_000_000_u64) {
        let mut rig = Rig::new(policy());
        let over = rig.enrol(START).unwrap();
        let now = over.saturating_add(Duration::from_secs(ahead));
        prop_assert_eq!(rig.confirm(step_at(now), now), Err(Error::NotPending));
        let now = now.saturating_sub(Duration::from_secs(back));
        prop_assert_eq!(rig.confirm(step_at(now), now), Err(Error::NotPending));
    }
}
