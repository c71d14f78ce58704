//! The rule a second time, in plain words, held against the decisions.

use super::{Rig, START, WRONG, policy};
use crate::decide::{Claim, regenerate};
use crate::verify::{STEP_SECS, step_at};
use crate::{Error, Generation, Kind};
use portcullis_core::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

/// What may happen to an enrolled factor.
#[derive(Clone, Debug)]
enum Act {
    /// The code of the step so many off, after so many seconds.
    Code {
        off: i64,
        secs: u64,
    },
    Wrong,
    Recovery(u8),
    Regenerate,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (-3_i64..=3, 0_u64..100).prop_map(|(off, secs)| Act::Code { off, secs }),
        3 => Just(Act::Wrong),
        // Eleven of which ten are there.
        1 => (0_u8..11).prop_map(Act::Recovery),
        1 => Just(Act::Regenerate),
    ];
    proptest::collection::vec(act, 0..60)
}

/// The rule again, in the plainest words there are.
#[derive(Debug)]
struct Model {
    cap: u16,
    window: u64,
    failures: u16,
    used_steps: Vec<u64>,
    set: u8,
    used_codes: Vec<u8>,
}

impl Model {
    fn code(&mut self, rig: &Rig, digits: &[u8; 6], now: Timestamp) -> Result<(), Error> {
        if self.failures >= self.cap {
            return Err(Error::Blocked);
        }
        let present = now.as_unix_secs() / STEP_SECS;
        let window = present - self.window..=present + self.window;
        let right = window
            .filter(|step| *rig.codes.at_step(*step) == *digits)
            .max();
        match right {
            None => {
                self.failures += 1;
                let newly_blocked = self.failures == self.cap;
                Err(Error::Wrong { newly_blocked })
            }
            Some(step) if self.used_steps.iter().any(|used| *used >= step) => Err(Error::Replayed),
            Some(step) => {
                self.used_steps.push(step);
                self.failures = self.failures.saturating_sub(1);
                Ok(())
            }
        }
    }

    fn recovery(&mut self, code: u8) -> Result<(), Error> {
        if !(self.set..self.set + 10).contains(&code) {
            return Err(WRONG);
        }
        if self.used_codes.contains(&code) {
            return Err(Error::Replayed);
        }
        self.used_codes.push(code);
        self.failures = 0;
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_factor_does_what_the_rule_says(acts in acts(), cap in 1_u16..6, window in 0_u8..=2) {
        let policy = policy().wrong_codes(cap).unwrap().window_steps(window).unwrap();
        let mut rig = Rig::enrolled(policy);
        let mut model = Model {
            cap,
            window: window.into(),
            failures: 0,
            used_steps: vec![step_at(START)],
            set: 0,
            used_codes: vec![],
        };
        let mut now = START;
        for act in acts {
            match act {
                Act::Code { off, secs } => {
                    now = now.saturating_add(Duration::from_secs(secs));
                    let digits = *rig.codes.at_step(step_at(now).saturating_add_signed(off));
                    let expected = model.code(&rig, &digits, now);
                    prop_assert_eq!(rig.digits(&digits, now).map(drop), expected);
                }
                Act::Wrong => {
                    let digits = rig.wrong(now);
                    let expected = model.code(&rig, &digits, now);
                    prop_assert_eq!(rig.digits(&digits, now).map(drop), expected);
                }
                Act::Recovery(code) => {
                    let code = model.set + code;
                    let expected = model.recovery(code);
                    prop_assert_eq!(rig.recovery(code, now).map(drop), expected);
                }
                Act::Regenerate if model.set < 200 => {
                    model.set += 20;
                    model.used_codes.clear();
                    let generation = rig.standing(now).generation.unwrap();
                    let claim = Claim { kind: Kind::Totp, at: now, generation };
                    let fresh = rig.fresh(model.set);
                    let decided = regenerate(rig.held.as_deref(), claim, &fresh, &rig.policy, now);
                    prop_assert_eq!(rig.apply(decided), Ok(()));
                }
                Act::Regenerate => {}
            }
            let standing = rig.standing(now);
            prop_assert_eq!(standing.failures, model.failures);
            prop_assert_eq!(standing.blocked, model.failures >= cap);
            prop_assert_eq!(usize::from(standing.recovery_codes_left), 10 - model.used_codes.len());
            prop_assert_eq!(standing.generation, Some(Generation::from_bytes([model.set; 8])));
        }
    }
}
