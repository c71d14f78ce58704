//! What responses say: the fields of draft-ietf-httpapi-ratelimit-headers and RFC 9110 §10.2.3.

use std::fmt::Write;
use std::time::Duration;

use portcullis_core::Scope;

use crate::{Decision, Quota};

impl Quota {
    /// The value of `RateLimit-Policy`: the count and its period in seconds, rounded up.
    ///
    /// ```
    /// use portcullis_core::Scope;
    /// use portcullis_rate_limit::EndpointClass;
    ///
    /// let login = EndpointClass::Authentication.quota();
    /// assert_eq!(login.policy_field(Scope::new("login")), r#""login";q=10;w=60"#);
    /// ```
    #[must_use]
    pub fn policy_field(&self, name: Scope) -> String {
        let mut field = quoted(name);
        // Writing to a String does not fail.
        let _ = write!(field, ";q={};w={}", self.count(), secs_up(self.period()));
        field
    }
}

impl Decision {
    /// The value of `RateLimit`: the units left, and the seconds until all are back, or until a caller
    /// that must wait is admitted; rounded up.
    ///
    /// ```
    /// use portcullis_core::Scope;
    /// use portcullis_rate_limit::Decision;
    /// use std::time::Duration;
    ///
    /// let wait = Decision::Limited { retry_after: Duration::from_millis(5_001) };
    /// assert_eq!(wait.field(Scope::new("login")), r#""login";r=0;t=6"#);
    /// assert_eq!(wait.retry_after_secs(), Some(6));
    /// ```
    #[must_use]
    pub fn field(&self, name: Scope) -> String {
        let mut field = quoted(name);
        // Writing to a String does not fail.
        let _ = match self {
            Self::Admitted {
                remaining,
                reset_after,
            } => write!(field, ";r={remaining};t={}", secs_up(*reset_after)),
            Self::Limited { retry_after } => write!(field, ";r=0;t={}", secs_up(*retry_after)),
            Self::Oversized => write!(field, ";r=0"),
        };
        field
    }

    /// The value of `Retry-After` in seconds, rounded up, so that a client that obeys it is admitted;
    /// none if admitted, or if no wait helps.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after().map(secs_up)
    }
}

/// A String of RFC 8941 §3.3.3; a scope's name is printable ASCII already.
fn quoted(name: Scope) -> String {
    let mut text = String::with_capacity(48);
    text.push('"');
    for character in name.as_str().chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

fn secs_up(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let field = Decision::Oversized.field(Scope::new(r#"a";q=9\"#));
        assert_eq!(field, r#""a\";q=9\\";r=0"#);
    }

    #[test]
    fn seconds_are_rounded_up_and_never_zero_for_a_wait() {
        for (nanos, secs) in [
            (1, 1),
            (999_999_999, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 2),
        ] {
            let retry_after = Duration::from_nanos(nanos);
            assert_eq!(
                Decision::Limited { retry_after }.retry_after_secs(),
                Some(secs)
            );
        }
        assert_eq!(secs_up(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_period_below_a_second_is_shown_as_one() {
        let quota = Quota::per(5, Duration::from_millis(100)).unwrap();
        assert_eq!(quota.policy_field(Scope::new("fast")), r#""fast";q=5;w=1"#);
    }
}
