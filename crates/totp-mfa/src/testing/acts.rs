//! A second factor in use, beside a plain note of what was shown.

use std::time::Duration;

use portcullis_core::{Key, Next, Sealer, Secret, Timestamp};

use super::fresh;
use crate::decide::{self, Context};
use crate::guard::place_of;
use crate::state::{Recovery, Row};
use crate::verify::{Codes, step_at};
use crate::{Error, MfaPolicy};

/// The body of the fuzz target `totp_acts`: the first byte is the cap of wrong codes, then each three are
/// an act, which code it shows, and how long to wait before it.
///
/// A code is taken in its time, in order, and once; a recovery code once; as many wrong codes as the cap
/// block it for right ones too, until a recovery code is used.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_totp_acts(data: &[u8]) {
    let Some((cap, acts)) = data.split_first() else {
        return;
    };
    let Some(mut user) = User::enrolled((cap % 8).saturating_add(1)) else {
        return;
    };
    for [act, which, wait] in acts.as_chunks().0 {
        let wait = WAITS_SECS.get(usize::from(wait % 8)).copied();
        let wait = Duration::from_secs(wait.unwrap_or_default());
        user.now = user.now.saturating_add(wait);
        match act % 4 {
            0 | 1 => user.show(&user.code(i64::from(which % 7).saturating_sub(3))),
            2 => user.show(b"000000"),
            _ => user.recover(which % 3),
        }
    }
}

struct User {
    sealer: Sealer,
    policy: MfaPolicy,
    place: Key,
    codes: Codes,
    now: Timestamp,
    held: Vec<u8>,
    newest_used: u64,
    /// Wrong codes that count now.
    wrong: u16,
    cap: u16,
    recovered: Vec<u8>,
}

impl User {
    /// Enrolled with the code of the moment, which is used up by that.
    fn enrolled(cap: u8) -> Option<Self> {
        let (seed, now) = (
            Secret::from(vec![5; 20]),
            Timestamp::from_unix_secs(1_700_000_010),
        );
        let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).ok()?;
        let policy = MfaPolicy::new("Example")
            .ok()?
            .wrong_codes(u16::from(cap))
            .ok()?;
        let place = place_of("alice");
        let sealed = sealer.seal(&place, seed.expose(), [1; 12]);
        let begun = decide::enrol(None, &sealed, &policy, now).1;
        let mut user = Self {
            codes: Codes::of(&seed)?,
            sealer,
            policy,
            place,
            now,
            held: bytes_of(&begun)?,
            newest_used: step_at(now),
            wrong: 0,
            cap: u16::from(cap),
            recovered: Vec::new(),
        };
        let mut codes = fresh();
        codes.recovery = (0..2)
            .map(|at| Recovery {
                used: false,
                digest: [at; 32],
            })
            .collect();
        let shown = user.code(0);
        let confirmed = decide::confirm(Some(&user.held), user.context(), Some(&shown), &codes);
        assert_eq!(confirmed.0, Ok(()));
        user.take(&confirmed.1);
        Some(user)
    }

    fn show(&mut self, digits: &[u8; 6]) {
        let (answer, next) = decide::totp(Some(&self.held), self.context(), digits);
        let present = step_at(self.now);
        let near = present.saturating_sub(1)..=present.saturating_add(1);
        let newest = near
            .rev()
            .find(|step| *self.codes.at_step(*step) == *digits);
        let was_blocked = self.wrong >= self.cap;
        match newest {
            _ if was_blocked => assert_eq!(answer, Err(Error::Blocked)),
            None => {
                self.wrong = self.wrong.saturating_add(1);
                let newly_blocked = self.wrong >= self.cap;
                assert_eq!(answer, Err(Error::Wrong { newly_blocked }));
            }
            Some(step) if step <= self.newest_used => assert_eq!(answer, Err(Error::Replayed)),
            Some(step) => {
                assert!(answer.is_ok());
                self.newest_used = step;
                self.wrong = self.wrong.saturating_sub(1);
            }
        }
        self.take(&next);
    }

    /// Two of three are codes of this user.
    fn recover(&mut self, which: u8) {
        let (answer, next) = decide::recovery_code(Some(&self.held), &[which; 32], self.now);
        let is_good = which < 2 && !self.recovered.contains(&which);
        assert_eq!(answer.is_ok(), is_good);
        self.take(&next);
        if is_good {
            self.recovered.push(which);
            self.wrong = 0;
        }
    }

    /// The code of the step that is so many from the present one.
    fn code(&self, off: i64) -> [u8; 6] {
        *self
            .codes
            .at_step(step_at(self.now).saturating_add_signed(off))
    }

    fn context(&self) -> Context<'_> {
        Context {
            sealer: &self.sealer,
            policy: &self.policy,
            place: &self.place,
            birth: Timestamp::UNIX_EPOCH,
            now: self.now,
        }
    }

    fn take(&mut self, next: &Next) {
        assert!(
            *next != Next::Remove,
            "a factor in use does not go by itself"
        );
        if let Some(bytes) = bytes_of(next) {
            assert!(Row::decode(&bytes).is_some());
            self.held = bytes;
        }
    }
}

fn bytes_of(next: &Next) -> Option<Vec<u8>> {
    match next {
        Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
        Next::Keep | Next::Settled | Next::Remove => None,
    }
}

/// Within a step, to its end, and further than codes reach.
const WAITS_SECS: [u64; 8] = [0, 0, 1, 19, 30, 31, 60, 3_600];
