//! Dates in a token, and the span of time that they give it.

use std::time::Duration;

use portcullis_core::Timestamp;

use crate::Error;
use crate::claims::Payload;
use crate::json::Raw;

/// A token's life: its dates are there, in order, and not further apart than admitted.
///
/// A fraction of a second counts against the token wherever it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) iat: Timestamp,
    pub(crate) exp: Timestamp,
    /// The later of `iat` and `nbf`.
    starts: Timestamp,
}

impl Life {
    pub(crate) fn read(payload: &Payload<'_>, secs_max: u64) -> Result<Self, Error> {
        let (iat, exp) = (payload.issued()?, payload.expires()?);
        // Rounded so that a fraction never makes a life look shorter.
        let life_secs = exp.ceil().saturating_sub(iat.floor());
        if exp.floor() <= iat.floor() || life_secs > secs_max {
            return Err(Error::Life);
        }
        let not_before = payload.not_before()?.map_or(0, NumericDate::ceil);
        Ok(Self {
            iat: Timestamp::from_unix_secs(iat.floor()),
            exp: Timestamp::from_unix_secs(exp.floor()),
            starts: Timestamp::from_unix_secs(iat.ceil().max(not_before)),
        })
    }

    /// Whether `now` lies within the life, give or take `leeway`; to be asked last, so that only a
    /// token that is otherwise good is called expired.
    pub(crate) fn judge(&self, leeway: Duration, now: Timestamp) -> Result<(), Error> {
        if self.starts > now.saturating_add(leeway) {
            return Err(Error::NotYetValid);
        }
        if now >= self.dead_at(leeway) {
            return Err(Error::Expired);
        }
        Ok(())
    }

    /// The first instant at which the token is refused (RFC 7519 §4.1.4).
    pub(crate) fn dead_at(&self, leeway: Duration) -> Timestamp {
        self.exp.saturating_add(leeway)
    }
}

/// Seconds since the Unix epoch as a token writes them (RFC 7519 §2).
///
/// Accepted are digits, with a fraction or without, up to the end of [`Timestamp`] in 2554. A sign,
/// an exponent, null, a string and anything larger are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumericDate {
    secs: u64,
    fraction: bool,
}

impl NumericDate {
    pub(crate) fn read(name: &'static str, value: Raw<'_>) -> Result<Self, Error> {
        value
            .number()
            .and_then(Self::parse)
            .ok_or(Error::Claim(name))
    }

    fn parse(literal: &str) -> Option<Self> {
        let bytes = literal.as_bytes();
        let digits = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (whole, rest) = bytes.split_at_checked(digits)?;
        if whole.is_empty() {
            return None;
        }
        let secs = whole.iter().try_fold(0_u64, |secs, digit| {
            secs.checked_mul(10)?.checked_add(u64::from(digit & 0x0f))
        });
        let fraction = match rest {
            [] => false,
            [b'.', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
                digits.iter().any(|digit| *digit != b'0')
            }
            _ => return None,
        };
        let secs = secs.filter(|secs| *secs <= SECS_MAX)?;
        Some(Self { secs, fraction })
    }

    /// The last whole second that is not after the date.
    pub(crate) const fn floor(self) -> u64 {
        self.secs
    }

    /// The first whole second that is not before the date.
    pub(crate) const fn ceil(self) -> u64 {
        if self.fraction {
            return self.secs.saturating_add(1);
        }
        self.secs
    }
}

/// The last whole second that a [`Timestamp`] holds.
pub(crate) const SECS_MAX: u64 = Timestamp::MAX.as_unix_secs();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numeric_dates_strictly() {
        for (literal, floor, ceil) in [
            ("0", 0, 0),
            ("1700000000", 1_700_000_000, 1_700_000_000),
            ("1700000000.0", 1_700_000_000, 1_700_000_000),
            ("1700000000.001", 1_700_000_000, 1_700_000_001),
            ("18446744073", 18_446_744_073, 18_446_744_073),
        ] {
            let date = NumericDate::parse(literal).unwrap();
            assert_eq!((date.floor(), date.ceil()), (floor, ceil), "{literal}");
        }
        for literal in [
            "-1",
            "-0",
            "-0.5",
            "1e9",
            "1E9",
            "1.7e9",
            "1e309",
            "18446744074",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999",
            "",
            "+1",
            ".5",
            "1.5e9",
            "1.2.3",
        ] {
            assert_eq!(NumericDate::parse(literal), None, "{literal}");
        }
    }
}
