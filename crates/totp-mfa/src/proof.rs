//! What was shown, and that it was.

use std::fmt;

use portcullis_core::Timestamp;

use crate::decide::Fresh;
use crate::{Code, RecoveryCodes, SecondFactors};

/// That a user has just shown a second factor. [`Presented::consume`] makes it, and nothing else does.
///
/// An act that needs one takes it by value, so one proof is worth one act:
///
/// ```
/// use portcullis_core::{Memory, Timestamp};
/// use portcullis_totp_mfa::{Error, FactorProof, RecoveryCodes, SecondFactors};
///
/// async fn renew(
///     factors: &SecondFactors,
///     store: &Memory,
///     proof: FactorProof,
///     now: Timestamp,
/// ) -> Result<RecoveryCodes, Error> {
///     factors.regenerate(store, proof, now).await
/// }
/// ```
///
/// Used a second time, it does not compile:
///
/// ```compile_fail,E0382
/// use portcullis_core::{Memory, Timestamp};
/// use portcullis_totp_mfa::{Error, FactorProof, SecondFactors};
///
/// async fn renew(
///     factors: &SecondFactors,
///     store: &Memory,
///     proof: FactorProof,
///     now: Timestamp,
/// ) -> Result<(), Error> {
///     factors.regenerate(store, proof, now).await?;
///     factors.remove(store, proof, now).await
/// }
/// ```
///
/// It cannot be written down:
///
/// ```compile_fail,E0451
/// use portcullis_core::Timestamp;
/// use portcullis_totp_mfa::{FactorProof, Generation, Kind};
///
/// let proof = FactorProof {
///     user: String::from("alice"),
///     kind: Kind::Totp,
///     at: Timestamp::UNIX_EPOCH,
///     generation: Generation::from_bytes([0; 8]),
/// };
/// ```
///
/// nor copied:
///
/// ```compile_fail,E0277
/// fn copies<T: Clone>() {}
/// copies::<portcullis_totp_mfa::FactorProof>();
/// ```
///
/// nor had for nothing:
///
/// ```compile_fail,E0277
/// fn comes_from_nothing<T: Default>() {}
/// comes_from_nothing::<portcullis_totp_mfa::FactorProof>();
/// ```
///
/// nor made of an enrolment, which shows that a secret was handed out and not that it arrived:
///
/// ```compile_fail,E0277
/// use portcullis_totp_mfa::{Enrolment, FactorProof};
///
/// fn proves(enrolment: Enrolment) -> FactorProof {
///     enrolment.into()
/// }
/// ```
///
/// nor of a code that no store has looked at:
///
/// ```compile_fail,E0277
/// use portcullis_totp_mfa::{FactorProof, Presented};
///
/// fn proves(presented: Presented) -> FactorProof {
///     presented.into()
/// }
/// ```
///
/// ```compile_fail,E0061
/// use portcullis_core::{Memory, Timestamp};
/// use portcullis_totp_mfa::{Error, FactorProof, Presented};
///
/// async fn proves(presented: Presented, now: Timestamp) -> Result<FactorProof, Error> {
///     presented.consume(now).await
/// }
/// ```
#[must_use = "a proof that nobody looks at admits nobody"]
pub struct FactorProof {
    user: String,
    kind: Kind,
    at: Timestamp,
    generation: Generation,
}

impl FactorProof {
    /// For [`Presented::consume`] alone, after its one update was acknowledged.
    pub(crate) fn of_consumed(
        user: String,
        kind: Kind,
        generation: Generation,
        at: Timestamp,
    ) -> Self {
        Self {
            user,
            kind,
            at,
            generation,
        }
    }

    /// Whose factor was shown.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What was shown.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// When it was shown.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The factor's generation at that time.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }
}

impl fmt::Debug for FactorProof {
    /// Everything but whose it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorProof")
            .field("kind", &self.kind)
            .field("at", &self.at)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A code that somebody shows as a user's. It proves nothing until [`Presented::consume`] has used it
/// up in the store, and it is used up once:
///
/// ```compile_fail,E0382
/// use portcullis_core::{Memory, Timestamp};
/// use portcullis_totp_mfa::{Error, FactorProof, Presented};
///
/// async fn twice(presented: Presented, store: &Memory, now: Timestamp) -> Result<FactorProof, Error> {
///     let _first = presented.consume(store, now).await?;
///     presented.consume(store, now).await
/// }
/// ```
#[must_use = "a code that is not consumed proves nothing"]
pub struct Presented {
    pub(crate) factors: SecondFactors,
    pub(crate) user: String,
    pub(crate) code: Code,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("kind", &self.code.kind())
            .finish_non_exhaustive()
    }
}

/// The first code of an enrolment, and what it will make of it: drawn, and not yet done.
///
/// ```
/// use portcullis_core::{Failure, Store, Timestamp};
/// use portcullis_totp_mfa::{Code, Confirmed, Error, SecondFactors};
///
/// async fn confirm<S: Store>(
///     factors: &SecondFactors, store: &S, user: &str, code: Code, now: Timestamp,
/// ) -> Result<Confirmed, Error> {
///     let first = factors.first_code(user, code)?;
///     let generation = first.generation();
///     let confirmed = first.consume(store, now).await;
///     if let Err(Error::Store(Failure::Unknown(_))) = &confirmed {
///         // It may have been done: nobody has seen these recovery codes.
///         let _ = factors.undo(store, user, generation, now).await;
///     }
///     confirmed
/// }
/// ```
#[must_use = "a code that is not consumed completes nothing"]
pub struct FirstCode {
    pub(crate) factors: SecondFactors,
    pub(crate) user: String,
    pub(crate) code: Code,
    pub(crate) recovery_codes: RecoveryCodes,
    pub(crate) fresh: Fresh,
}

impl fmt::Debug for FirstCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstCode")
            .field("generation", &self.fresh.generation)
            .finish_non_exhaustive()
    }
}

/// What kind of code it is. A recovery code is no phishing-resistant factor and makes no new codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Six digits of an authenticator (RFC 6238).
    Totp,
    /// One of the ten codes that were written down.
    RecoveryCode,
}

/// Which state of a user's second factor this is: 8 random bytes, new at every confirmation and with
/// every new set of recovery codes, and gone with a removal.
///
/// Whoever keeps something open that rests on the factor (a half-finished sign-in) keeps the
/// generation with it and refuses when it is no longer the same.
///
/// ```
/// use portcullis_totp_mfa::Generation;
///
/// let generation = Generation::from_bytes([7; 8]);
/// assert_eq!(Generation::from_bytes(generation.to_bytes()), generation);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation([u8; 8]);

impl Generation {
    /// The generation that was kept as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes to keep it as.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

/// That an enrolment is complete, and the recovery codes to show once.
#[derive(Debug)]
#[must_use = "the recovery codes are shown now or never"]
pub struct Confirmed {
    user: Redacted,
    at: Timestamp,
    generation: Generation,
    recovery_codes: RecoveryCodes,
}

impl Confirmed {
    pub(crate) fn new(
        user: &str,
        at: Timestamp,
        generation: Generation,
        recovery_codes: RecoveryCodes,
    ) -> Self {
        Self {
            user: Redacted(user.to_owned()),
            at,
            generation,
            recovery_codes,
        }
    }

    /// Whose factor it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user.0
    }

    /// When the first code was shown.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The factor's first generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The ten codes for the day the authenticator is lost.
    #[must_use]
    pub const fn recovery_codes(&self) -> &RecoveryCodes {
        &self.recovery_codes
    }
}

struct Redacted(String);

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// How a user's second factor stands. The default is a user without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Whether there is one: ask for a code.
    pub enrolled: bool,
    /// Whether an enrolment waits for its first code.
    pub pending: bool,
    /// Whether it is blocked after too many wrong codes: only a recovery code or an administrator
    /// helps.
    pub blocked: bool,
    /// Wrong codes so far, less those that right ones took back.
    pub failures: u16,
    /// How many recovery codes are not used yet.
    pub recovery_codes_left: u8,
    /// Which state of the factor this is; none without a factor.
    pub generation: Option<Generation>,
}
