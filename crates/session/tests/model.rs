//! A family of refresh tokens against a model of it: any acts, any clock.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{key, password, policy};
use portcullis_core::{Memory, Timestamp};
use portcullis_session::{Error, Factor, Method, RefreshToken, SessionPolicy, Sessions};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    /// Shows the token given that many tokens ago.
    Refresh(usize),
    /// Shows it with its last character changed.
    Forge(usize),
    SignOutWith(usize),
    SignOut,
    StepUp,
    Touch,
    Forward(u64),
    Back(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_usize..3).prop_map(Act::Refresh),
        1 => (0_usize..9).prop_map(Act::Refresh),
        1 => (0_usize..3).prop_map(Act::Forge),
        1 => (0_usize..3).prop_map(Act::SignOutWith),
        1 => Just(Act::SignOut),
        1 => Just(Act::StepUp),
        2 => Just(Act::Touch),
        4 => (0_u64..12).prop_map(Act::Forward),
        1 => (0_u64..400).prop_map(Act::Forward),
        1 => (0_u64..30).prop_map(Act::Back),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Fresh(usize),
    Again(usize),
    Reused,
    Revoked,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Ended,
    Forgotten,
}

/// What the documentation says, in seconds since the start and nothing of how it is done.
#[derive(Debug)]
struct Model {
    generation: usize,
    rotated: u64,
    repeats: u8,
    idle: u64,
    life: Life,
}

const IDLE: u64 = 120;
const ABSOLUTE: u64 = 600;
const GRACE: u64 = 10;

impl Model {
    fn new() -> Self {
        Self {
            generation: 0,
            rotated: 0,
            repeats: 0,
            idle: IDLE,
            life: Life::Alive,
        }
    }

    fn standing(&self, now: u64) -> Life {
        let now = now.max(self.rotated);
        match self.life {
            Life::Alive if now < self.idle => Life::Alive,
            Life::Ended if now < ABSOLUTE => Life::Ended,
            _ => Life::Forgotten,
        }
    }

    fn refresh(&mut self, generation: usize, now: u64) -> Answer {
        self.life = self.standing(now);
        let now = now.max(self.rotated);
        match self.life {
            Life::Ended => return Answer::Revoked,
            Life::Forgotten => return Answer::Nothing,
            Life::Alive => {}
        }
        if generation == self.generation {
            self.generation += 1;
            (self.rotated, self.repeats) = (now, 0);
            self.idle = (now + IDLE).min(ABSOLUTE);
            return Answer::Fresh(self.generation);
        }
        if generation + 1 == self.generation && now - self.rotated < GRACE && self.repeats < 2 {
            self.repeats += 1;
            return Answer::Again(self.generation);
        }
        self.life = Life::Ended;
        Answer::Reused
    }

    fn touch(&mut self, now: u64) -> bool {
        let alive = self.standing(now) == Life::Alive;
        if alive {
            let idle = (now.max(self.rotated) + IDLE).min(ABSOLUTE);
            self.idle = self.idle.max(idle);
        }
        alive
    }

    fn sign_out(&mut self, now: u64) -> bool {
        let ends = self.standing(now) == Life::Alive;
        if ends {
            self.life = Life::Ended;
        }
        ends
    }
}

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

fn instant(secs: u64) -> Timestamp {
    common::at(secs)
}

fn brief() -> SessionPolicy {
    policy()
        .absolute(Duration::from_secs(ABSOLUTE))
        .idle(Duration::from_secs(IDLE))
        .grace(Duration::from_secs(GRACE))
}

/// Every token given, by generation; a repeated one must be the one given before.
fn note(tokens: &mut Vec<RefreshToken>, token: RefreshToken) -> usize {
    if let Some(known) = tokens.iter().position(|known| *known == token) {
        return known;
    }
    tokens.push(token);
    tokens.len() - 1
}

fn forged(token: &RefreshToken) -> String {
    let mut text = token.expose().to_owned();
    let last = text.pop().unwrap();
    text.push(if last == 'A' { 'B' } else { 'A' });
    text
}

fn run(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let sessions = Sessions::new(Memory::new(instant(0)), key(), brief()).unwrap();
    let started = ready(sessions.start("alice", &password(0), instant(0))).unwrap();
    let session = started.session;
    let mut tokens = vec![started.refresh_token];
    let (mut model, mut now) = (Model::new(), 0_u64);
    let mut ended = false;
    for act in acts {
        let shown = |back: usize| (tokens.len() - 1).saturating_sub(back);
        match act {
            Act::Forward(secs) => now += secs,
            Act::Back(secs) => now = now.saturating_sub(secs),
            Act::Forge(back) => {
                let text = forged(&tokens[shown(back)]);
                let refused = ready(sessions.refresh(&text, instant(now)));
                prop_assert_eq!(refused.unwrap_err(), Error::NoSuchSession);
            }
            Act::SignOut => {
                let ours = ready(sessions.revoke(&session, instant(now))).unwrap();
                prop_assert_eq!(ours.is_some(), model.sign_out(now));
            }
            Act::SignOutWith(back) => {
                let text = tokens[shown(back)].expose();
                let ours = ready(sessions.revoke_token(text, instant(now)));
                prop_assert_eq!(matches!(ours, Ok(Some(_))), model.sign_out(now));
            }
            Act::StepUp => {
                let totp = Factor::new(Method::Totp, instant(now));
                let ours = ready(sessions.add_factor(&session, totp, instant(now)));
                prop_assert_eq!(ours.is_ok(), model.standing(now) == Life::Alive);
            }
            Act::Touch => {
                let ours = ready(sessions.touch(&session, instant(now)));
                prop_assert_eq!(ours.is_ok(), model.touch(now));
                if let Ok(live) = ours {
                    prop_assert_eq!(live.expires_at(), instant(model.idle));
                }
            }
            Act::Refresh(back) => {
                let generation = shown(back);
                let text = tokens[generation].expose().to_owned();
                let ours = match ready(sessions.refresh(&text, instant(now))) {
                    Ok(granted) => {
                        prop_assert!(!ended, "granted after the end");
                        prop_assert!(granted.refresh_expires_at <= instant(ABSOLUTE));
                        let given = note(&mut tokens, granted.refresh_token);
                        prop_assert_eq!(given, tokens.len() - 1, "only the newest token is given");
                        if granted.repeated {
                            Answer::Again(given)
                        } else {
                            Answer::Fresh(given)
                        }
                    }
                    Err(Error::Reused { .. }) => Answer::Reused,
                    Err(Error::Revoked { .. }) => Answer::Revoked,
                    Err(Error::NoSuchSession) => Answer::Nothing,
                    Err(error) => panic!("{error}"),
                };
                prop_assert_eq!(ours, model.refresh(generation, now), "at {}", now);
                ended |= matches!(ours, Answer::Reused | Answer::Revoked | Answer::Nothing);
            }
        }
        let alive = ready(sessions.live(&session, instant(now))).is_ok();
        prop_assert_eq!(alive, model.standing(now) == Life::Alive, "at {}", now);
        let listed = ready(sessions.list("alice", instant(now))).unwrap().len();
        prop_assert_eq!(listed, usize::from(alive));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_family_behaves_as_its_model_under_any_acts_and_any_clock(
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        run(acts)?;
    }
}
