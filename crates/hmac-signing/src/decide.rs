//! Whether a request comes for the first time, on the bytes there are.

use portcullis_core::{Next, Timestamp};

use crate::Error;
use crate::policy::Window;
use crate::state::{Count, Seen};

/// What is left of a request once its signature holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) timestamp: Timestamp,
    pub(crate) window: Window,
    pub(crate) made_at: Option<Timestamp>,
}

impl Claim {
    /// Whether the store's memory reaches as far as this request's, and its time is not over.
    ///
    /// What could have been accepted before the store's birth may have been, and the note of it be gone;
    /// save where the key is no older than the store.
    pub(crate) fn admit(&self, birth: Timestamp, now: Timestamp) -> Result<(), Error> {
        self.window.admit(self.timestamp, now)?;
        let remembered = self.timestamp > birth.saturating_add(self.window.ahead);
        let key_is_younger = self.made_at.is_some_and(|made_at| made_at >= birth);
        if !remembered && !key_is_younger {
            return Err(Error::BeforeBirth);
        }
        Ok(())
    }

    /// Notes the request as seen.
    pub(crate) fn note(&self, current: Option<&[u8]>, now: Timestamp) -> (Result<(), Error>, Next) {
        let over_at = self.window.over_at(self.timestamp);
        // A note that is over when it is written would let the next one in.
        if over_at <= now {
            return (Err(Error::TooOld), Next::Keep);
        }
        match current.map(Seen::decode) {
            Some(None) => (Err(Error::Corrupt), Next::Keep),
            Some(Some(seen)) if seen.over_at > now => (Err(Error::Replayed), Next::Keep),
            Some(Some(_)) | None => (Ok(()), Seen { over_at }.into_next()),
        }
    }

    /// Counts the request among its key's, if they are fewer than `most`.
    pub(crate) fn count(
        &self,
        current: Option<&[u8]>,
        most: u32,
        now: Timestamp,
    ) -> (Result<(), Error>, Next) {
        let span = self.span();
        let Some(mut count) = self.standing(current, now) else {
            return (Err(Error::Corrupt), Next::Keep);
        };
        if span > count.newest {
            let neighbours = count.newest.saturating_add(1) == span;
            count.previous = if neighbours { count.current } else { 0 };
            count.current = 0;
            count.newest = span;
        }
        if count.current.saturating_add(count.previous) >= most {
            return (Err(Error::TooMany), Next::Keep);
        }
        // What is older than both is counted, too: a clock that steps back makes no room.
        let counted = count.slot(span);
        *counted = counted.saturating_add(1);
        count.over_at = count.over_at.max(self.span_over_at(span));
        (Ok(()), count.into_next())
    }

    /// Takes the count back of a request that was a replay: whoever sends a captured request again and
    /// again does not use the key's room up.
    pub(crate) fn uncount(&self, current: Option<&[u8]>, now: Timestamp) -> ((), Next) {
        let span = self.span();
        match self.standing(current, now) {
            Some(mut count) if current.is_some() && span <= count.newest => {
                let counted = count.slot(span);
                *counted = counted.saturating_sub(1);
                ((), count.into_next())
            }
            _ => ((), Next::Keep),
        }
    }

    /// Which span the timestamp is counted in.
    fn span(&self) -> u64 {
        let secs = self.timestamp.as_unix_secs();
        secs.checked_div(self.window.span_secs()).unwrap_or(0)
    }

    fn span_over_at(&self, span: u64) -> Timestamp {
        let end = span
            .saturating_add(1)
            .saturating_mul(self.window.span_secs());
        self.window.over_at(Timestamp::from_unix_secs(end))
    }

    /// The row that is there, or what decides like it; nothing for one that does not decode.
    fn standing(&self, current: Option<&[u8]>, now: Timestamp) -> Option<Count> {
        let none = Count {
            over_at: self.span_over_at(self.span()),
            newest: self.span(),
            current: 0,
            previous: 0,
        };
        match current.map(Count::decode) {
            Some(None) => None,
            Some(Some(count)) if count.over_at > now => Some(count),
            Some(Some(_)) | None => Some(none),
        }
    }
}

impl Count {
    fn slot(&mut self, span: u64) -> &mut u32 {
        if span == self.newest {
            &mut self.current
        } else {
            &mut self.previous
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Component, Policy};

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    fn at(secs: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(secs))
    }

    fn claim(timestamp: Timestamp) -> Claim {
        Claim {
            timestamp,
            window: Policy::requiring(Component::ALL).window,
            made_at: None,
        }
    }

    fn row(next: &Next) -> Option<Vec<u8>> {
        match next {
            Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
            _ => None,
        }
    }

    #[test]
    fn a_note_counts_until_its_timestamp_does_not() {
        let (noted, next) = claim(NOW).note(None, NOW);
        assert_eq!(noted, Ok(()));
        let held = row(&next);
        let again = |now| claim(NOW).note(held.as_deref(), now);
        assert_eq!(again(at(300)), (Err(Error::Replayed), Next::Keep));
        assert_eq!(again(at(301)), (Err(Error::TooOld), Next::Keep));
        assert!(matches!(next, Next::Put { expires_at, .. } if expires_at == at(301)));
        // The nonce of one that is over is free for a later request.
        assert_eq!(claim(at(301)).note(held.as_deref(), at(301)).0, Ok(()));
    }

    #[test]
    fn bytes_that_are_no_row_grant_nothing() {
        for bytes in [&b""[..], b"x", &[1; 8], &[2; 9], &[0; 25]] {
            let current = Some(bytes);
            let refused = (Err(Error::Corrupt), Next::Keep);
            assert_eq!(claim(NOW).note(current, NOW), refused);
            assert_eq!(claim(NOW).count(current, 10, NOW), refused);
            assert_eq!(claim(NOW).uncount(current, NOW), ((), Next::Keep));
        }
    }

    #[test]
    fn a_count_is_taken_back_once_and_never_below_none() {
        let (_, next) = claim(NOW).count(None, 1, NOW);
        let one = row(&next);
        assert_eq!(
            claim(NOW).count(one.as_deref(), 1, NOW).0,
            Err(Error::TooMany)
        );
        let none = row(&claim(NOW).uncount(one.as_deref(), NOW).1);
        let still = row(&claim(NOW).uncount(none.as_deref(), NOW).1);
        assert_eq!(none, still);
        assert_eq!(claim(NOW).count(still.as_deref(), 1, NOW).0, Ok(()));
        assert_eq!(claim(NOW).uncount(None, NOW), ((), Next::Keep));
    }

    #[test]
    fn what_the_stores_memory_may_not_hold_is_refused_to_the_second() {
        let born = |birth| claim(NOW).admit(birth, NOW);
        let before = |secs| NOW.saturating_sub(Duration::from_secs(secs));
        assert_eq!(born(before(5)), Err(Error::BeforeBirth));
        assert_eq!(born(before(6)), Ok(()));
        let made = |made_at| Claim {
            made_at: Some(made_at),
            ..claim(NOW)
        };
        assert_eq!(made(NOW).admit(NOW, NOW), Ok(()));
        assert_eq!(made(before(1)).admit(NOW, NOW), Err(Error::BeforeBirth));
        assert_eq!(made(NOW).admit(before(6), at(301)), Err(Error::TooOld));
    }

    proptest! {
        /// Whatever a key sends, and in whichever order: never more live requests than admitted.
        #[test]
        fn no_more_requests_are_live_than_the_cap_says(
            most in 1_u32..6,
            steps in prop::collection::vec((0_u64..200, 0_u64..=305), 1..80),
        ) {
            let (mut now, mut held, mut live) = (at(0), None::<Vec<u8>>, Vec::new());
            for (wait, age) in steps {
                now = now.saturating_add(Duration::from_secs(wait));
                let ahead = now.saturating_add(Duration::from_secs(5));
                let timestamp = ahead.saturating_sub(Duration::from_secs(age));
                let claim = claim(timestamp);
                prop_assert_eq!(claim.admit(Timestamp::UNIX_EPOCH, now), Ok(()));
                let (counted, next) = claim.count(held.as_deref(), most, now);
                held = row(&next).or(held);
                live.retain(|over_at| *over_at > now);
                if counted.is_ok() {
                    live.push(claim.window.over_at(timestamp));
                }
                prop_assert!(live.len() <= usize::try_from(most).unwrap());
            }
        }
    }
}
