//! Whether the time of a refused login tells why it was refused.
//!
//! ```sh
//! cargo run --release -p portcullis-benches --bin sign_in_timing
//! ```
//!
//! Logins of each kind are timed in a random order, and every kind is compared with a wrong password by
//! Welch's t-test on the middle of the samples, as dudect does (Reparaz, Balasch, Verbauwhede, 2017): |t|
//! from 4.5 on is a leak. In place of a password hash stands work whose length varies by 50 microseconds
//! at random, far less than argon2id's own varies, which is measured first. The control is a table of users
//! that takes 20 microseconds longer for users who exist: a run that does not find that finds nothing. The
//! smallest difference that would have been found stands beside each comparison.
//! Ends with failure when it finds anything else, or not the control.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a measurement has no callers; it ends where it cannot go on"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_audit::{AuditError, Event, Recorded, Sink};
use portcullis_core::testing::FakeClock;
use portcullis_core::{AnyStore, Memory, Secret, Timestamp, entropy};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy, Outcome, Reserved};
use portcullis_session::{SessionPolicy, Sessions};
use portcullis_sign_in::testing::{MapDirectory, StubHasher, trial_factors};
use portcullis_sign_in::{
    Argon2Pool, Attempt, Credential, Directory, DirectoryError, Hasher, Hashing, Parts, SignIn,
    SignInPolicy,
};
use portcullis_totp_mfa::testing::codes;
use portcullis_totp_mfa::{Code, SecondFactors};
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const RIGHT: &[u8] = b"correct horse battery";
const WRONG: &[u8] = b"Tr0ub4dor&3-and-so-on";
/// How many logins of each kind are timed.
const SAMPLES: usize = 4_000;
/// From here on a difference is none of chance.
const LEAK: f64 = 4.5;
const PLANTED: Duration = Duration::from_micros(20);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (hash, spread) = argon2id(&runtime);
    println!(
        "argon2id here: {hash:.1} ms, the middle half within {spread:.0} µs; in its place: 0 to 50 µs"
    );
    println!("{SAMPLES} logins of each kind; |t| from {LEAK} on is a leak\n");
    println!(
        "{:<48} {:>9} {:>9} {:>8} {:>9}",
        "refused because, against a wrong password", "µs", "against", "t", "floor µs"
    );
    let (mut found, mut control) = (0, false);
    for leaky in [false, true] {
        let desk = Desk::new(&runtime, leaky);
        for (kind, samples) in desk.compared(&runtime) {
            let (t, floor) = welch(&samples[0], &samples[1]);
            let (ours, theirs) = (median(&samples[1]), median(&samples[0]));
            let planted = leaky && kind == "there is no such user";
            let note = if planted { " (the planted leak)" } else { "" };
            println!("{kind:<48} {ours:>9.2} {theirs:>9.2} {t:>8.2} {floor:>9.2}{note}");
            let leaks = t.abs() >= LEAK;
            if planted {
                control = leaks;
            } else if leaks && !leaky {
                found += 1;
            }
        }
    }
    let outcome = match (found, control) {
        (0, true) => "the planted leak was found, and nothing else",
        (0, false) => "the planted leak was not found: this run says nothing",
        _ => "there is a leak",
    };
    println!("\n{outcome}");
    if found == 0 && control {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Where logins are timed.
struct Desk {
    sign_in: SignIn<Table, Deaf>,
    factors: SecondFactors,
    store: AnyStore,
    lockout: Arc<Lockout<AnyStore>>,
    leaky: bool,
}

type Compared = (&'static str, [Vec<f64>; 2]);

impl Desk {
    fn new(runtime: &Runtime, leaky: bool) -> Self {
        let store = AnyStore::new(Memory::new(NOW));
        let trial = SessionPolicy::default().dangerous_allow_volatile();
        let sessions = Sessions::new(store.clone(), Secret::from(vec![7; 32]), trial).unwrap();
        let lockout = Arc::new(Lockout::new(store.clone(), LockoutPolicy::default()));
        let (factors, users) = (trial_factors().unwrap(), MapDirectory::new());
        for kind in ["wrong", "locked", "second"] {
            for at in 0..SAMPLES {
                users.insert(&name(kind, at), StubHasher::phc(&RIGHT.into()));
            }
        }
        let parts = Parts {
            directory: Table {
                users,
                stand_in: name("wrong", 0),
                leaky,
            },
            sink: Deaf,
            lockout: Arc::clone(&lockout),
            sessions: Arc::new(sessions),
            second_factors: factors.clone(),
            store: store.clone(),
        };
        let hasher = Arc::new(Varying(StubHasher::new(Duration::ZERO)));
        let made = SignIn::new(parts, hasher, FakeClock::new(NOW), SignInPolicy::default());
        let desk = Self {
            sign_in: runtime.block_on(made).unwrap(),
            factors,
            store,
            lockout,
            leaky,
        };
        runtime.block_on(desk.prepare());
        desk
    }

    /// Locks the locked and enrols those with a second factor.
    async fn prepare(&self) {
        for at in 0..SAMPLES {
            let locked = name("locked", at);
            for _ in 0..5 {
                let Reserved::Granted(reservation) =
                    self.lockout.reserve(&locked, NOW).await.unwrap()
                else {
                    break;
                };
                let settled = self
                    .lockout
                    .settle(reservation, Outcome::Failure, NOW)
                    .await;
                let _ = settled.unwrap();
            }
            let second = name("second", at);
            self.enrol(second.as_str()).await;
        }
    }

    /// A code of the authenticator that was used, and one that will not fit.
    async fn enrol(&self, user: &str) -> String {
        let begun = self
            .factors
            .enrol(&self.store, user, user, NOW)
            .await
            .unwrap();
        let code = codes::at(begun.secret(), NOW);
        let first = Code::parse(&code).unwrap();
        let _ = self
            .factors
            .confirm(&self.store, user, &first, NOW)
            .await
            .unwrap();
        code
    }

    fn compared(&self, runtime: &Runtime) -> Vec<Compared> {
        let mut all = Vec::new();
        let kinds: &[(&str, &str)] = &[
            ("there is no such user", "unknown"),
            ("the account is locked", "locked"),
            ("the password is wrong, a second factor enrolled", "second"),
        ];
        for (kind, group) in kinds.iter().take(if self.leaky { 1 } else { kinds.len() }) {
            all.push((*kind, self.passwords(runtime, group)));
        }
        all
    }

    /// Times the wrong password of users who exist, and of this group, in a random order.
    fn passwords(&self, runtime: &Runtime, group: &str) -> [Vec<f64>; 2] {
        let mut timed = [Vec::new(), Vec::new()];
        let mut next = [0, 0];
        let mut coins = Coins(u64::from_be_bytes(entropy().unwrap()) | 1);
        while next != [SAMPLES, SAMPLES] {
            let class = coins.toss();
            let at = next[class];
            if at == SAMPLES {
                continue;
            }
            next[class] += 1;
            let name = name(["wrong", group][class], at);
            // Not once again what a former comparison has counted a failure of.
            let attempt = Attempt::new(name.as_str(), Secret::from(WRONG));
            #[expect(clippy::disallowed_methods, reason = "this measures time")]
            let begun = Instant::now();
            let answer = runtime.block_on(self.sign_in.sign_in(attempt, NOW));
            let took = begun.elapsed();
            assert!(black_box(answer).is_err());
            timed[class].push(took.as_secs_f64() * 1e6);
            if class == 0 {
                // The next comparison begins with as many failures.
                runtime.block_on(self.lockout.unlock(&name, NOW)).unwrap();
            }
        }
        timed
    }
}

fn name(kind: &str, at: usize) -> AccountName {
    AccountName::parse(&format!("{kind:_<8}{at:05}")).unwrap()
}

/// Users, and where it is leaky, a reason to take longer.
struct Table {
    users: MapDirectory,
    stand_in: AccountName,
    leaky: bool,
}

impl Directory for Table {
    async fn find(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Option<Credential>, DirectoryError> {
        let found = self.users.find(name, now).await;
        if self.leaky && matches!(found, Ok(Some(_))) {
            spin(PLANTED);
        }
        // A table that does as much for those who are not there, as it should.
        let known = matches!(found, Ok(Some(_)));
        let stand_in = if known {
            None
        } else {
            self.users.credential(&self.stand_in)
        };
        black_box(stand_in);
        found
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<u64>, DirectoryError> {
        self.users
            .replace_password(name, epoch, password_hash, now)
            .await
    }
}

/// Takes every event and keeps none.
struct Deaf;

impl Sink for Deaf {
    async fn record(&self, event: Event) -> Result<Recorded, AuditError> {
        black_box(event);
        Ok(Recorded { sequence: 1 })
    }
}

/// Work of a random length stands in for a password hash, whatever the hash and the password are.
struct Varying(StubHasher);

impl Hasher for Varying {
    fn verify(&self, hash: String, password: Secret) -> Hashing<'_, bool> {
        let random = u64::from_be_bytes(entropy().unwrap_or_default());
        spin(Duration::from_nanos(random % 50_000));
        self.0.verify(hash, password)
    }

    fn hash(&self, password: Secret) -> Hashing<'_, String> {
        self.0.hash(password)
    }

    fn is_outdated(&self, hash: &str) -> bool {
        self.0.is_outdated(hash)
    }
}

/// The median of a password hash in milliseconds, and how far its middle half is spread, in microseconds.
fn argon2id(runtime: &Runtime) -> (f64, f64) {
    let pool = Argon2Pool::default();
    let mut took: Vec<f64> = (0..40)
        .map(|_| {
            #[expect(clippy::disallowed_methods, reason = "this measures time")]
            let begun = Instant::now();
            black_box(runtime.block_on(pool.hash(Secret::from(RIGHT)))).unwrap();
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    (took[20] / 1e3, took[30] - took[10])
}

fn spin(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this measures time")]
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Xorshift: the order of the classes is not to follow any rhythm of the machine.
struct Coins(u64);

impl Coins {
    fn toss(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::from(self.0 >> 40 & 1 == 1)
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Welch's t of the samples below the ninth decile of both together: what interrupts a login now and then
/// is cut off from each alike. Beside it the difference that would have reached [`LEAK`].
fn welch(one: &[f64], other: &[f64]) -> (f64, f64) {
    let mut all = [one, other].concat();
    all.sort_by(f64::total_cmp);
    let cut = all[all.len() * 9 / 10];
    let of = |samples: &[f64]| {
        let kept: Vec<f64> = samples.iter().copied().filter(|took| *took < cut).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|took| (took - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((one, one_spread), (other, other_spread)) = (of(one), of(other));
    let error = (one_spread + other_spread).sqrt();
    ((one - other) / error, LEAK * error)
}
