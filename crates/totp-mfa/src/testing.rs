//! Codes for other crates' tests, and the bodies that the fuzz targets share with their replay.

mod acts;

use std::fmt::Debug;

use portcullis_core::{Next, Sealer, Secret, Timestamp};

use crate::code::{Held, recovery_text};
use crate::decide::{self, Claim, Context, Fresh};
use crate::guard::place_of;
use crate::state::{Recovery, Row};
use crate::verify::{Codes, step_at};
use crate::{Code, Generation, Kind, MfaPolicy};

pub use acts::fuzz_totp_acts;

/// What an authenticator shows.
pub mod codes {
    use data_encoding::BASE32_NOPAD;
    use portcullis_core::{Secret, Timestamp};

    use crate::code::Held;
    use crate::verify::{Codes, newest_match, step_at};
    use crate::{Code, Kind};

    /// The six digits that an authenticator with that secret shows at `now`; nothing when the secret is
    /// not base32 of at least 128 bits.
    #[must_use]
    pub fn at(secret_base32: &str, now: Timestamp) -> String {
        let codes = of(secret_base32);
        let digits = codes.map(|codes| codes.at_step(step_at(now)));
        let text = digits.and_then(|digits| String::from_utf8(digits.to_vec()).ok());
        text.unwrap_or_default()
    }

    fn of(secret_base32: &str) -> Option<Codes> {
        let secret = BASE32_NOPAD.decode(secret_base32.as_bytes()).ok()?;
        Codes::of(&Secret::from(secret))
    }

    /// The comparison alone, with a window of one step, for the bench.
    pub struct Checker(Codes);

    impl Checker {
        /// None where [`at`] has nothing.
        #[must_use]
        pub fn new(secret_base32: &str) -> Option<Self> {
            of(secret_base32).map(Self)
        }

        /// The newest step that `code` is of.
        #[must_use]
        pub fn check(&self, code: &str, now: Timestamp) -> Option<u64> {
            let code = Code::parse(code)
                .ok()
                .filter(|code| code.kind() == Kind::Totp)?;
            let Held::Totp(digits) = &code.0 else {
                return None;
            };
            newest_match(|step| self.0.at_step(step), digits, now, 1)
        }
    }

    impl std::fmt::Debug for Checker {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Checker(..)")
        }
    }
}

/// The body of the fuzz target `totp_row`: bytes that decode encode to the same bytes, every decision on
/// them leaves bytes that decode, nothing is granted on other bytes, and an enrolment whose time is over
/// decides like none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_totp_row(data: &[u8]) {
    let row = Row::decode(data);
    if let Some(row) = &row {
        assert_eq!(row.encode(), data);
    }
    let ends = match &row {
        Some(Row::Pending(pending)) => pending.expires_at,
        Some(Row::Active(_)) | None => Timestamp::MAX,
    };
    let begun = match &row {
        Some(Row::Pending(pending)) => pending.created,
        Some(Row::Active(active)) => active.enrolled_at,
        None => Timestamp::UNIX_EPOCH,
    };
    for now in [Timestamp::UNIX_EPOCH, begun, ends, Timestamp::MAX] {
        let decided = decisions(Some(data), now);
        for (_, next) in &decided {
            if let Next::Put { value, expires_at } = next {
                let left = Row::decode(value.as_bytes());
                assert_eq!(left.map(|row| row.expires_at()), Some(*expires_at));
            }
        }
        if row.is_none() {
            let refused = |(what, next): &(String, Next)| {
                what.contains(" Err(") && *next == Next::Keep || what.starts_with("reset")
            };
            assert!(decided.iter().all(refused));
        }
        if matches!(row, Some(Row::Pending(_))) && ends <= now {
            assert_eq!(decided, decisions(None, now));
        }
    }
}

/// Every decision on `current`, each by its name and answer and what it leaves; right codes and proofs
/// among what is shown, if the row has any. Forgetting is as good as leaving what decides like none.
pub(crate) fn decisions(current: Option<&[u8]>, now: Timestamp) -> Vec<(String, Next)> {
    let (Some(sealer), Ok(policy)) = (sealer(), MfaPolicy::new("Example")) else {
        return Vec::new();
    };
    let place = place_of("alice");
    let context = |birth| Context {
        sealer: &sealer,
        policy: &policy,
        place: &place,
        birth,
        now,
    };
    let (fresh, at) = (fresh(), context(Timestamp::UNIX_EPOCH));
    let shown = Shown::of(current, at);
    let mut all = Vec::new();
    for birth in [Timestamp::UNIX_EPOCH, now] {
        for digits in [&shown.digits, b"123456"] {
            let confirmed = decide::confirm(current, context(birth), Some(digits), &fresh);
            all.push(named("confirm", confirmed));
            all.push(named("totp", decide::totp(current, context(birth), digits)));
        }
    }
    all.push(named("confirm", decide::confirm(current, at, None, &fresh)));
    for digest in [&shown.digest, &[1; 32]] {
        all.push(named(
            "recovery",
            decide::recovery_code(current, digest, now),
        ));
    }
    for kind in [Kind::Totp, Kind::RecoveryCode] {
        let claim = Claim {
            kind,
            at: now,
            generation: shown.generation,
        };
        let made = decide::regenerate(current, claim, &fresh, &policy, now);
        all.push(named("regenerate", made));
        let removed = decide::remove(current, claim, &policy, now);
        all.push(named("remove", removed));
    }
    all.push(named(
        "enrol",
        decide::enrol(current, &[1; 53], &policy, now),
    ));
    all.push(named("standing", decide::standing(current, &policy, now)));
    all.push(named("reseal", decide::reseal(current, at, [3; 12])));
    all.push(named("reset", decide::reset(current, now)));
    let undone = decide::undo(current, shown.generation, now);
    all.push(named("undo", undone));
    all
}

/// What an owner would show: the code of the moment, a recovery code, a proof's generation.
struct Shown {
    digits: [u8; 6],
    digest: [u8; 32],
    generation: Generation,
}

impl Shown {
    fn of(current: Option<&[u8]>, context: Context<'_>) -> Self {
        let mut shown = Self {
            digits: *b"000000",
            digest: [0; 32],
            generation: Generation::from_bytes([0; 8]),
        };
        let sealed = match current.and_then(Row::decode) {
            Some(Row::Pending(pending)) => pending.sealed,
            Some(Row::Active(active)) => {
                let first = active.recovery.first();
                shown.digest = first.map_or(shown.digest, |code| code.digest);
                shown.generation = active.generation;
                active.sealed
            }
            None => Vec::new(),
        };
        let opened = context.sealer.open(context.place, &sealed).ok();
        if let Some(codes) = opened.and_then(|opened| Codes::of(&opened.secret)) {
            shown.digits = *codes.at_step(step_at(context.now));
        }
        shown
    }
}

/// Opens what the corpus was sealed under, and has a newer key of its own.
fn sealer() -> Option<Sealer> {
    let sealer = Sealer::new(2, &Secret::from(vec![8; 32])).ok()?;
    sealer.and_opens(1, &Secret::from(vec![7; 32])).ok()
}

fn fresh() -> Fresh {
    Fresh {
        generation: Generation::from_bytes([9; 8]),
        recovery: vec![Recovery {
            used: false,
            digest: [9; 32],
        }],
    }
}

fn named(name: &str, (answer, next): (impl Debug, Next)) -> (String, Next) {
    let next = match next {
        Next::Remove => Next::Keep,
        other => other,
    };
    (format!("{name} {answer:?}"), next)
}

/// The body of the fuzz target `second_factor_code`: a text is read as six digits only if it is those
/// and nothing else; a recovery code's one spelling is read as the same code; and any 15 bytes are one.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_second_factor_code(data: &[u8]) {
    if let Some((bytes, _)) = data.split_first_chunk() {
        assert_eq!(recovery_bytes(&recovery_text(bytes)), Some(*bytes));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(code) = Code::parse(text) else {
        return;
    };
    assert!(text.is_ascii() && text.len() <= Code::MAX_LEN);
    match &code.0 {
        Held::Totp(digits) => assert_eq!(digits.as_slice(), data),
        Held::Recovery(bytes) => {
            assert_eq!(recovery_bytes(&recovery_text(bytes)), Some(**bytes));
        }
    }
}

fn recovery_bytes(text: &str) -> Option<[u8; 15]> {
    match Code::parse(text).ok()?.0 {
        Held::Recovery(bytes) => Some(*bytes),
        Held::Totp(_) => None,
    }
}
