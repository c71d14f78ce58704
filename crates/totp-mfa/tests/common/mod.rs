//! What the tests share.

use std::time::Duration;

use portcullis_core::testing::Faulty;
use portcullis_core::{Memory, Next, Scope, Sealer, Secret, Store, Timestamp};
use portcullis_totp_mfa::{
    Code, Error, FactorProof, MfaPolicy, SecondFactors, Standing, testing::codes,
};

/// The middle of a step.
pub const START: Timestamp = Timestamp::from_unix_secs(1_700_000_025);
pub const WRONG: Error = Error::Wrong {
    newly_blocked: false,
};
/// Where the crate keeps its rows.
pub const SCOPE: Scope = Scope::new("second-factor");

/// `secs` after the start.
pub fn at(secs: u64) -> Timestamp {
    START.saturating_add(Duration::from_secs(secs))
}

pub fn policy() -> MfaPolicy {
    MfaPolicy::new("Example")
        .unwrap()
        .dangerous_allow_volatile()
}

pub fn factors(policy: MfaPolicy) -> SecondFactors {
    let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).unwrap();
    SecondFactors::new(sealer, &Secret::from(vec![9; 32]), policy).unwrap()
}

/// Alice's factor, enrolled and confirmed at the start, in a store that fails on command.
pub struct Rig {
    pub factors: SecondFactors,
    pub store: Faulty<Memory>,
    pub secret: String,
    pub recovery: Vec<String>,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(policy()).await
    }

    pub async fn with(policy: MfaPolicy) -> Self {
        let mut rig = Self::begun(policy).await;
        let code = rig.code(START);
        let confirmed = rig.factors.confirm(&rig.store, "alice", &code, START).await;
        let confirmed = confirmed.unwrap();
        rig.recovery = confirmed
            .recovery_codes()
            .iter()
            .map(str::to_owned)
            .collect();
        rig
    }

    /// Alice has begun to enrol.
    pub async fn begun(policy: MfaPolicy) -> Self {
        let factors = factors(policy);
        let store = Faulty::new(Memory::new(START));
        let enrolment = factors
            .enrol(&store, "alice", "alice@example.org", START)
            .await;
        let secret = enrolment.unwrap().secret().to_owned();
        Self {
            factors,
            store,
            secret,
            recovery: Vec::new(),
        }
    }

    /// What alice's authenticator shows at `now`.
    pub fn code(&self, now: Timestamp) -> Code {
        Code::parse(&codes::at(&self.secret, now)).unwrap()
    }

    /// Six digits that are no code of hers in the minutes around `now`.
    pub fn wrong(&self, now: Timestamp) -> Code {
        let near: Vec<String> = (0..=12)
            .map(|step| {
                let before = now.saturating_sub(Duration::from_secs(180));
                codes::at(
                    &self.secret,
                    before.saturating_add(Duration::from_secs(30 * step)),
                )
            })
            .collect();
        let digits = (0..20).map(|number| format!("{number:06}"));
        let wrong = digits.into_iter().find(|digits| !near.contains(digits));
        Code::parse(&wrong.unwrap()).unwrap()
    }

    pub async fn show(&self, code: Code, now: Timestamp) -> Result<FactorProof, Error> {
        self.factors
            .present("alice", code)
            .consume(&self.store, now)
            .await
    }

    /// Shows the code that the authenticator shows.
    pub async fn totp(&self, now: Timestamp) -> Result<FactorProof, Error> {
        self.show(self.code(now), now).await
    }

    pub async fn recover(&self, place: usize, now: Timestamp) -> Result<FactorProof, Error> {
        self.show(Code::parse(&self.recovery[place]).unwrap(), now)
            .await
    }

    pub async fn standing(&self, now: Timestamp) -> Standing {
        self.factors
            .standing(&self.store, "alice", now)
            .await
            .unwrap()
    }

    /// The row of `user`, as it is.
    pub async fn row(&self, user: &str) -> Option<Vec<u8>> {
        let key = portcullis_core::Key::new(SCOPE, user.as_bytes());
        let read = |current: Option<&[u8]>| (current.map(<[u8]>::to_vec), Next::Keep);
        self.store.update(key, START, read).await.unwrap()
    }

    /// Puts `row` where `user`'s is.
    pub async fn put(&self, user: &str, row: Option<Vec<u8>>) {
        let key = portcullis_core::Key::new(SCOPE, user.as_bytes());
        let write = move |_: Option<&[u8]>| {
            let next = match &row {
                Some(row) => Next::Put {
                    value: portcullis_core::Value::new(row),
                    expires_at: Timestamp::MAX,
                },
                None => Next::Remove,
            };
            ((), next)
        };
        self.store.update(key, START, write).await.unwrap();
    }
}
