//! Second factors in a store: load, decide, swap, each as one act.

use std::fmt;
use std::sync::Arc;

use portcullis_core::{Durability, Key, Next, Scope, Sealer, Secret, Store, Timestamp, entropy};
use zeroize::Zeroizing;

use crate::code::Held;
use crate::decide::{self, Claim, Context, Decision, Fresh};
use crate::enrolment::{MAX_ACCOUNT, is_label};
use crate::recovery::{DRAWN_LEN, Pepper, draw};
use crate::{
    Code, Confirmed, Enrolment, Error, FactorProof, FirstCode, Generation, MfaPolicy, Presented,
    RecoveryCodes, Standing,
};

/// The second factors of a service's users: an authenticator each, and ten recovery codes.
///
/// It holds the keys and no store: each call is given one, and a call's whole effect is one update of one
/// row there. So a future dropped at any await has done its act or not begun it. A confirmation or a
/// regeneration whose caller goes away after the act leaves recovery codes that nobody saw: make new
/// ones.
///
/// # What failure means
/// Every failure refuses. See [`Error`] for what follows an unknown outcome.
#[derive(Clone)]
pub struct SecondFactors(Arc<Inner>);

struct Inner {
    sealer: Sealer,
    pepper: Pepper,
    policy: MfaPolicy,
}

impl SecondFactors {
    /// Secrets are sealed by `sealer`; recovery codes are kept as MACs under `pepper`, of at least 32
    /// bytes and used for nothing else. Another pepper makes all recovery codes wrong.
    ///
    /// # Errors
    /// [`Error::PepperTooShort`].
    pub fn new(sealer: Sealer, pepper: &Secret, policy: MfaPolicy) -> Result<Self, Error> {
        let pepper = Pepper::new(pepper).ok_or(Error::PepperTooShort)?;
        Ok(Self(Arc::new(Inner {
            sealer,
            pepper,
            policy,
        })))
    }

    /// Begins an enrolment of `user`, whom the authenticator will show as `account`; an earlier one
    /// under way is forgotten. Nothing is enrolled until [`SecondFactors::confirm`].
    ///
    /// # Errors
    /// [`Error::AccountRefused`], [`Error::AlreadyEnrolled`], and those of every call:
    /// [`Error::VolatileStore`], [`Error::UserRefused`], [`Error::Corrupt`], [`Error::Entropy`],
    /// [`Error::Store`].
    pub async fn enrol<S: Store>(
        &self,
        store: &S,
        user: &str,
        account: &str,
        now: Timestamp,
    ) -> Result<Enrolment, Error> {
        let place = self.place(store, user)?;
        if !is_label(account, MAX_ACCOUNT, MAX_ACCOUNT) {
            return Err(Error::AccountRefused);
        }
        let secret = Secret::generate::<SECRET_LEN>()?;
        let sealed = self.0.sealer.seal(&place, secret.expose(), entropy()?);
        let inner = Arc::clone(&self.0);
        let step =
            move |current: Option<&[u8]>| decide::enrol(current, &sealed, &inner.policy, now);
        let expires_at = store.update(place, now, step).await??;
        let issuer = &self.0.policy.issuer;
        Ok(Enrolment::new(secret.expose(), issuer, account, expires_at))
    }

    /// Completes `user`'s enrolment with the authenticator's first code, which is used up, and draws ten
    /// recovery codes.
    ///
    /// # Errors
    /// [`Error::NotPending`], [`Error::AlreadyEnrolled`], [`Error::Wrong`] and [`Error::Blocked`] (begin
    /// anew), [`Error::Replayed`], [`Error::Seal`], and those of every call.
    pub async fn confirm<S: Store>(
        &self,
        store: &S,
        user: &str,
        code: &Code,
        now: Timestamp,
    ) -> Result<Confirmed, Error> {
        let first = self.first_code(user, Code(code.0.clone()))?;
        first.consume(store, now).await
    }

    /// A first code whose [`FirstCode::generation`] is known before it is consumed: for a caller who must
    /// be able to take back what may have been done. [`SecondFactors::confirm`] is both in one.
    ///
    /// # Errors
    /// [`Error::Entropy`].
    pub fn first_code(&self, user: &str, code: Code) -> Result<FirstCode, Error> {
        let (recovery_codes, fresh) = self.draw(user)?;
        Ok(FirstCode {
            factors: self.clone(),
            user: user.to_owned(),
            code,
            recovery_codes,
            fresh,
        })
    }

    /// A code that somebody shows as `user`'s. It proves nothing until [`Presented::consume`] has used
    /// it up.
    pub fn present(&self, user: &str, code: Code) -> Presented {
        Presented {
            factors: self.clone(),
            user: user.to_owned(),
            code,
        }
    }

    /// How `user`'s factor stands.
    ///
    /// # Errors
    /// Those of every call. Whoever cannot tell whether there is a factor refuses.
    pub async fn standing<S: Store>(
        &self,
        store: &S,
        user: &str,
        now: Timestamp,
    ) -> Result<Standing, Error> {
        let place = self.place(store, user)?;
        let inner = Arc::clone(&self.0);
        let step = move |current: Option<&[u8]>| decide::standing(current, &inner.policy, now);
        store.update(place, now, step).await?
    }

    /// Replaces the recovery codes of the proof's user; the old ones, used or not, are worth nothing.
    ///
    /// # Errors
    /// [`Error::NotByRecoveryCode`], [`Error::ProofTooOld`], [`Error::ProofOutdated`],
    /// [`Error::NotEnrolled`], and those of every call.
    pub async fn regenerate<S: Store>(
        &self,
        store: &S,
        proof: FactorProof,
        now: Timestamp,
    ) -> Result<RecoveryCodes, Error> {
        let place = self.place(store, proof.user())?;
        let (recovery_codes, fresh) = self.draw(proof.user())?;
        let (inner, claim) = (Arc::clone(&self.0), Claim::of(&proof));
        let step = move |current: Option<&[u8]>| {
            decide::regenerate(current, claim, &fresh, &inner.policy, now)
        };
        store.update(place, now, step).await??;
        Ok(recovery_codes)
    }

    /// Takes the factor of the proof's user away. End the user's other sessions with it.
    ///
    /// # Errors
    /// [`Error::ProofTooOld`], [`Error::ProofOutdated`], [`Error::NotEnrolled`], and those of every call.
    pub async fn remove<S: Store>(
        &self,
        store: &S,
        proof: FactorProof,
        now: Timestamp,
    ) -> Result<(), Error> {
        let place = self.place(store, proof.user())?;
        let (inner, claim) = (Arc::clone(&self.0), Claim::of(&proof));
        let step = move |current: Option<&[u8]>| decide::remove(current, claim, &inner.policy, now);
        store.update(place, now, step).await?
    }

    /// Takes away whatever second factor `user` has, without any proof; answers whether there was one,
    /// or an enrolment under way.
    ///
    /// Dangerous: an administrator's act, for an owner who has lost everything or whose factor is
    /// blocked, after they were identified some other way. End the user's sessions with it.
    ///
    /// # Errors
    /// Those of every call but [`Error::Corrupt`]: what does not decode is taken away, too.
    pub async fn dangerous_reset<S: Store>(
        &self,
        store: &S,
        user: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let place = self.place(store, user)?;
        let step = move |current: Option<&[u8]>| decide::reset(current, now);
        Ok(store.update(place, now, step).await?)
    }

    /// Takes the confirmation of that [`FirstCode::generation`] back, where its recovery codes could not
    /// be shown or its outcome is not known. Every other factor stays. An enrolment under way is
    /// forgotten: a confirmation that the store has yet to do finds nothing to confirm. Answers whether a
    /// factor was taken away.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn undo<S: Store>(
        &self,
        store: &S,
        user: &str,
        generation: Generation,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let place = self.place(store, user)?;
        let step = move |current: Option<&[u8]>| decide::undo(current, generation, now);
        store.update(place, now, step).await?
    }

    /// Seals `user`'s secret anew if an older key sealed it; answers whether it did. Call it for every
    /// user after a new sealing key, then give up the old one.
    ///
    /// # Errors
    /// [`Error::Seal`], and those of every call.
    pub async fn reseal<S: Store>(
        &self,
        store: &S,
        user: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let place = self.place(store, user)?;
        let nonce = entropy()?;
        let step = move |current: Option<&[u8]>, context: Context<'_>| {
            decide::reseal(current, context, nonce)
        };
        self.judged(store, place, now, step).await
    }

    /// Where `user`'s row is, if the store may keep it.
    fn place<S: Store>(&self, store: &S, user: &str) -> Result<Key, Error> {
        if store.durability() != Durability::Durable && !self.0.policy.volatile_allowed {
            return Err(Error::VolatileStore);
        }
        if user.is_empty() || user.len() > MAX_USER_LEN {
            return Err(Error::UserRefused);
        }
        Ok(place_of(user))
    }

    fn draw(&self, user: &str) -> Result<(RecoveryCodes, Fresh), Error> {
        let drawn = Zeroizing::new(entropy::<DRAWN_LEN>()?);
        let (codes, recovery) = draw(&drawn, user, &self.0.pepper);
        let generation = Generation::from_bytes(entropy()?);
        Ok((
            codes,
            Fresh {
                generation,
                recovery,
            },
        ))
    }

    /// One update whose step needs the secret.
    async fn judged<S: Store, T: Send + 'static>(
        &self,
        store: &S,
        place: Key,
        now: Timestamp,
        step: impl Fn(Option<&[u8]>, Context<'_>) -> Decision<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (inner, birth) = (Arc::clone(&self.0), store.birth());
        let step = move |current: Option<&[u8]>| -> (Result<T, Error>, Next) {
            let context = Context {
                sealer: &inner.sealer,
                policy: &inner.policy,
                place: &place,
                birth,
                now,
            };
            step(current, context)
        };
        store.update(place, now, step).await?
    }
}

impl Presented {
    /// Uses the code up in `store`, where its factor is kept. A wrong code of six digits is counted in
    /// that same act, before anything is told.
    ///
    /// # Errors
    /// [`Error::Wrong`], [`Error::Replayed`], [`Error::Blocked`], [`Error::NotEnrolled`],
    /// [`Error::Seal`], [`Error::VolatileStore`], [`Error::UserRefused`], [`Error::Corrupt`],
    /// [`Error::Store`].
    pub async fn consume<S: Store>(self, store: &S, now: Timestamp) -> Result<FactorProof, Error> {
        let Self {
            factors,
            user,
            code,
        } = self;
        let place = factors.place(store, &user)?;
        let kind = code.kind();
        let generation = match code.0 {
            Held::Totp(digits) => {
                let step = move |current: Option<&[u8]>, context: Context<'_>| {
                    decide::totp(current, context, &digits)
                };
                factors.judged(store, place, now, step).await?
            }
            Held::Recovery(bytes) => {
                let digest = factors.0.pepper.digest(&user, &bytes);
                let step =
                    move |current: Option<&[u8]>| decide::recovery_code(current, &digest, now);
                store.update(place, now, step).await??
            }
        };
        Ok(FactorProof::of_consumed(user, kind, generation, now))
    }
}

impl FirstCode {
    /// The generation that the factor will have if this code completes it.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.fresh.generation
    }

    /// Completes the enrolment, as [`SecondFactors::confirm`] does.
    ///
    /// # Errors
    /// Those of [`SecondFactors::confirm`].
    pub async fn consume<S: Store>(self, store: &S, now: Timestamp) -> Result<Confirmed, Error> {
        let Self {
            factors,
            user,
            code,
            recovery_codes,
            fresh,
        } = self;
        let place = factors.place(store, &user)?;
        let generation = fresh.generation;
        let step = move |current: Option<&[u8]>, context: Context<'_>| {
            let digits = match &code.0 {
                Held::Totp(digits) => Some(&**digits),
                Held::Recovery(_) => None,
            };
            decide::confirm(current, context, digits, &fresh)
        };
        factors.judged(store, place, now, step).await?;
        Ok(Confirmed::new(&user, now, generation, recovery_codes))
    }
}

impl Claim {
    fn of(proof: &FactorProof) -> Self {
        Self {
            kind: proof.kind(),
            at: proof.at(),
            generation: proof.generation(),
        }
    }
}

pub(crate) fn place_of(user: &str) -> Key {
    Key::new(SECOND_FACTOR, user.as_bytes())
}

impl fmt::Debug for SecondFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactors")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

const SECOND_FACTOR: Scope = Scope::new("second-factor");
/// As long as the hash's output (RFC 4226 §4, R6).
const SECRET_LEN: usize = 20;
const MAX_USER_LEN: usize = 255;
