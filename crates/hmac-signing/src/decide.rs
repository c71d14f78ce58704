//! Whether a request comes for the first time, on the bytes there are.

use portcullis_core::{Next, Timestamp};

use crate::Error;
use crate::policy::{SPAN_SECS, Window, over_at};
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
    /// save where the key that signed is no older than the store.
    pub(crate) fn admit(&self, birth: Timestamp, now: Timestamp) -> Result<(), Error> {
        self.window.admit(self.timestamp, now)?;
        let remembered = self.timestamp > birth.saturating_add(self.window.ahead);
        // An instant that is yet to come was told by a clock that was wrong, and says nothing.
        let key_is_younger = self
            .made_at
            .is_some_and(|made_at| made_at >= birth && made_at <= now);
        if !remembered && !key_is_younger {
            return Err(Error::BeforeBirth);
        }
        Ok(())
    }

    /// Notes the request as seen.
    pub(crate) fn note(&self, current: Option<&[u8]>, now: Timestamp) -> (Result<(), Error>, Next) {
        let over_at = over_at(self.timestamp);
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
            let retry_after = count.room_at(most).saturating_since(now);
            return (Err(Error::TooMany { retry_after }), Next::Keep);
        }
        // What is older than both is counted, too: a clock that steps back makes no room.
        let counted = count.slot(span);
        *counted = counted.saturating_add(1);
        count.over_at = count.over_at.max(span_over_at(span));
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
        secs.checked_div(SPAN_SECS).unwrap_or(0)
    }

    /// The row that is there, or what decides like it; nothing for one that does not decode.
    fn standing(&self, current: Option<&[u8]>, now: Timestamp) -> Option<Count> {
        let none = Count {
            over_at: span_over_at(self.span()),
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

    /// When a request signed anew finds room, if no others come meanwhile: the older span goes when the
    /// next one begins, and that is enough unless the newer one is full by itself.
    fn room_at(&self, most: u32) -> Timestamp {
        let next = begin_of(self.newest.saturating_add(1));
        if self.current < most {
            next.min(self.over_at)
        } else {
            self.over_at
        }
    }
}

fn span_over_at(span: u64) -> Timestamp {
    over_at(begin_of(span.saturating_add(1)))
}

fn begin_of(span: u64) -> Timestamp {
    Timestamp::from_unix_secs(span.saturating_mul(SPAN_SECS))
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
        within(timestamp, 300, 5)
    }

    fn within(timestamp: Timestamp, skew: u64, ahead: u64) -> Claim {
        let policy = Policy::requiring(Component::ALL).skew_secs(skew).unwrap();
        Claim {
            timestamp,
            window: policy.ahead_secs(ahead).unwrap().window,
            made_at: None,
        }
    }

    fn is_too_many(counted: &Result<(), Error>) -> bool {
        matches!(counted, Err(Error::TooMany { .. }))
    }

    fn row(next: &Next) -> Option<Vec<u8>> {
        match next {
            Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
            _ => None,
        }
    }

    #[test]
    fn a_note_counts_until_no_policy_admits_its_timestamp_whatever_its_own_window() {
        for skew in [1, 5, 300, 900] {
            let claim = |timestamp| within(timestamp, skew, 5);
            let (noted, next) = claim(NOW).note(None, NOW);
            assert_eq!(noted, Ok(()));
            let held = row(&next);
            let again = |now| claim(NOW).note(held.as_deref(), now);
            assert_eq!(again(at(900)), (Err(Error::Replayed), Next::Keep));
            assert_eq!(again(at(901)), (Err(Error::TooOld), Next::Keep));
            assert!(matches!(next, Next::Put { expires_at, .. } if expires_at == at(901)));
            // The nonce of one that is over is free for a later request.
            assert_eq!(claim(at(901)).note(held.as_deref(), at(901)).0, Ok(()));
        }
    }

    #[test]
    fn a_claim_is_in_time_by_its_own_window_however_long_it_is_remembered() {
        let born = at(0).saturating_sub(Duration::from_secs(100));
        let admit = |skew, after| within(NOW, skew, 5).admit(born, at(after));
        assert_eq!((admit(5, 5), admit(5, 6)), (Ok(()), Err(Error::TooOld)));
        assert_eq!(
            (admit(900, 900), admit(900, 901)),
            (Ok(()), Err(Error::TooOld))
        );
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
        assert!(is_too_many(&claim(NOW).count(one.as_deref(), 1, NOW).0));
        let none = row(&claim(NOW).uncount(one.as_deref(), NOW).1);
        assert!(none.is_some(), "nothing was taken back");
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
        let to_come = NOW.saturating_add(Duration::from_nanos(1));
        assert_eq!(made(to_come).admit(NOW, NOW), Err(Error::BeforeBirth));
        assert_eq!(made(NOW).admit(before(6), at(301)), Err(Error::TooOld));
    }

    #[test]
    fn whoever_is_refused_for_want_of_room_finds_it_at_the_instant_told_and_not_before() {
        let begin = begin_of(claim(NOW).span());
        let into = |secs| begin.saturating_add(Duration::from_secs(secs));
        let hold = |held: &mut Option<Vec<u8>>, now| {
            let (counted, next) = claim(now).count(held.as_deref(), 2, now);
            *held = row(&next).or(held.take());
            counted
        };
        let told = |counted| match counted {
            Err(Error::TooMany { retry_after }) => retry_after,
            other => panic!("{other:?}"),
        };
        // One in each of two spans: the older goes with its span. Both in one: once the span's notes are over.
        for (first, second, third, room) in [
            (0, 962, 962, 2 * 962),
            (0, 1, 1, 962 + 901),
            (0, 1, 970, 962 + 901),
            (962, 963, 963, 2 * 962 + 901),
        ] {
            let mut held = None;
            assert_eq!(hold(&mut held, into(first)), Ok(()));
            assert_eq!(hold(&mut held, into(second)), Ok(()));
            let wait = told(hold(&mut held, into(third)));
            assert_eq!(into(third).saturating_add(wait), into(room));
            assert!(is_too_many(&hold(&mut held.clone(), into(room - 1))));
            assert_eq!(hold(&mut held, into(room)), Ok(()));
        }
    }

    #[test]
    fn verifiers_of_different_windows_count_a_key_as_one() {
        let (_, next) = within(NOW, 5, 0).count(None, 1, NOW);
        let held = row(&next);
        for skew in [1, 300, 900] {
            let counted = within(NOW, skew, 60).count(held.as_deref(), 1, NOW).0;
            assert!(is_too_many(&counted));
        }
    }

    proptest! {
        /// Whatever a key sends, and in whichever order: never more remembered requests than admitted.
        #[test]
        fn no_more_requests_are_remembered_than_the_cap_says(
            most in 1_u32..6,
            steps in prop::collection::vec((0_u64..200, 0_u64..=960), 1..80),
        ) {
            let (mut now, mut held, mut live) = (at(0), None::<Vec<u8>>, Vec::new());
            for (wait, age) in steps {
                now = now.saturating_add(Duration::from_secs(wait));
                let ahead = now.saturating_add(Duration::from_secs(60));
                let timestamp = ahead.saturating_sub(Duration::from_secs(age));
                let claim = within(timestamp, 900, 60);
                prop_assert_eq!(claim.admit(Timestamp::UNIX_EPOCH, now), Ok(()));
                let (counted, next) = claim.count(held.as_deref(), most, now);
                held = row(&next).or(held);
                live.retain(|over_at| *over_at > now);
                if counted.is_ok() {
                    live.push(over_at(timestamp));
                }
                prop_assert!(live.len() <= usize::try_from(most).unwrap());
            }
        }
    }
}
