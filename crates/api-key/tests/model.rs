//! Any story of one owner's keys beside a naive memory of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{DAY, Rig, at, new, policy};
use portcullis_api_key::{ApiKey, Error, KeyId, Standing};
use proptest::prelude::*;

/// What may happen next; numbers choose among the keys and secrets there are.
#[derive(Clone, Copy, Debug)]
enum Act {
    Create { ends_in_days: u64 },
    Rotate(usize),
    EndGrace(usize),
    Revoke(usize),
    Forget(usize),
    Verify(usize, usize),
    Wait { hours: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (1_u64..200).prop_map(|ends_in_days| Act::Create { ends_in_days }),
        4 => any::<usize>().prop_map(Act::Rotate),
        1 => any::<usize>().prop_map(Act::EndGrace),
        1 => any::<usize>().prop_map(Act::Revoke),
        1 => any::<usize>().prop_map(Act::Forget),
        8 => any::<(usize, usize)>().prop_map(|(key, secret)| Act::Verify(key, secret)),
        6 => (0_u64..30 * 24).prop_map(|hours| Act::Wait { hours }),
    ]
}

/// One key as somebody with a notebook would remember it: every secret it had, and until when each counts.
struct Remembered {
    id: KeyId,
    secrets: Vec<(String, u64)>,
    made: u64,
    ends: u64,
    revoked: bool,
    /// The secret before the present one was ended by hand.
    ended: bool,
}

impl Remembered {
    fn present(&self) -> usize {
        self.secrets.len() - 1
    }

    fn over(&self, now: u64) -> bool {
        now >= self.secrets[self.present()].1
    }

    fn grace_until(&self) -> Option<u64> {
        let before = self.present().checked_sub(1)?;
        (!self.ended).then(|| self.secrets[before].1)
    }

    fn verify(&self, secret: usize, now: u64) -> Result<bool, Error> {
        if secret + 1 < self.present() {
            return Err(Error::SecretWrong);
        }
        if self.revoked {
            return Err(Error::Revoked);
        }
        let previous = secret != self.present();
        if self.over(now) || now >= self.secrets[secret].1 || (previous && self.ended) {
            return Err(Error::Expired);
        }
        Ok(previous)
    }

    fn may_rotate(&self, now: u64) -> Result<(), Error> {
        if self.revoked {
            return Err(Error::Revoked);
        }
        if now >= self.ends {
            return Err(Error::Expired);
        }
        match self.grace_until().map(|until| until.max(self.made + 10)) {
            Some(until) if now < until => Err(Error::RotationUnderWay(at(until))),
            _ => Ok(()),
        }
    }
}

/// The keys and the notebook, side by side.
struct Story {
    rig: Rig,
    now: u64,
    all: Vec<Remembered>,
}

impl Story {
    async fn go_on(&mut self, act: Act) {
        let count = self.all.len().max(1);
        match act {
            Act::Wait { hours } => self.now += hours * 3600,
            Act::Create { ends_in_days } => self.create(self.now + ends_in_days * DAY).await,
            Act::Rotate(key) => self.rotate(key % count).await,
            Act::EndGrace(key) => self.end_grace(key % count).await,
            Act::Revoke(key) => self.revoke(key % count).await,
            Act::Forget(key) => self.forget(key % count).await,
            Act::Verify(key, secret) => self.verify(key % count, secret).await,
        }
    }

    async fn create(&mut self, ends: u64) {
        let new = new().expires_at(at(ends));
        let made = self.rig.keys.create("acme", new, at(self.now)).await;
        if self.all.len() >= KEYS {
            assert_eq!(made.err(), Some(Error::TooManyKeys));
            return;
        }
        let made = made.unwrap();
        let secret = (made.key.expose().to_owned(), ends.min(self.now + AGE));
        self.all.push(Remembered {
            id: made.info.id,
            secrets: vec![secret],
            made: self.now,
            ends,
            revoked: false,
            ended: false,
        });
    }

    async fn rotate(&mut self, key: usize) {
        let (now, Some(key)) = (self.now, self.all.get_mut(key)) else {
            return;
        };
        let rotated = self.rig.keys.rotate("acme", key.id, at(now)).await;
        let expected = key.may_rotate(now);
        assert_eq!(rotated.as_ref().err(), expected.as_ref().err());
        if let Ok(made) = rotated {
            let before = key.present();
            key.secrets[before].1 = key.secrets[before].1.min(now + GRACE);
            let end = key.ends.min(now + AGE);
            key.secrets.push((made.key.expose().to_owned(), end));
            (key.made, key.ended) = (now, false);
        }
    }

    async fn end_grace(&mut self, key: usize) {
        let (now, Some(key)) = (at(self.now), self.all.get_mut(key)) else {
            return;
        };
        self.rig.keys.end_grace("acme", key.id, now).await.unwrap();
        key.ended = key.secrets.len() > 1;
    }

    async fn revoke(&mut self, key: usize) {
        let (now, Some(key)) = (at(self.now), self.all.get_mut(key)) else {
            return;
        };
        let info = self.rig.keys.revoke("acme", key.id, now).await.unwrap();
        assert_eq!(info.standing(now), Standing::Revoked);
        key.revoked = true;
    }

    async fn forget(&mut self, key: usize) {
        let Some(held) = self.all.get(key) else {
            return;
        };
        let forgotten = self.rig.keys.forget("acme", held.id, at(self.now)).await;
        if held.revoked || held.over(self.now) {
            assert_eq!(forgotten, Ok(()));
            self.all.remove(key);
        } else {
            assert_eq!(forgotten, Err(Error::StillCounts));
        }
    }

    async fn verify(&mut self, key: usize, secret: usize) {
        let (now, Some(key)) = (self.now, self.all.get(key)) else {
            return;
        };
        let secret = secret % key.secrets.len();
        let shown = ApiKey::parse(&key.secrets[secret].0).unwrap();
        let proof = self.rig.keys.verify(&shown, at(now)).await;
        let seen = proof.map(|proof| proof.by_previous_secret());
        assert_eq!(seen, key.verify(secret, now));
        let standing = self.rig.keys.standing(key.id, at(now)).await;
        assert_eq!(standing.is_ok(), !key.revoked && !key.over(now));
    }

    async fn compare(mut self) {
        let now = at(self.now);
        let mut listed = self.rig.keys.list("acme", now).await.unwrap();
        listed.sort_by_key(|info| info.id);
        self.all.sort_by_key(|key| key.id);
        assert_eq!(listed.len(), self.all.len());
        for (info, key) in listed.iter().zip(&self.all) {
            assert_eq!((info.id, info.revoked_at.is_some()), (key.id, key.revoked));
            assert_eq!(info.age(now), Duration::from_secs(self.now - key.made));
        }
    }
}

async fn play(acts: Vec<Act>) {
    let policy = policy().keys_per_owner(4).unwrap();
    let mut story = Story {
        rig: Rig::with(policy),
        now: 0,
        all: Vec::new(),
    };
    for act in acts {
        story.go_on(act).await;
    }
    story.compare().await;
}

/// What the policy says.
const AGE: u64 = 90 * DAY;
const GRACE: u64 = DAY;
const KEYS: usize = 4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn keys_behave_as_somebody_with_a_notebook_would_expect(acts in proptest::collection::vec(act(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(acts));
    }
}
