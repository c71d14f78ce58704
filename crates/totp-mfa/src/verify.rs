//! Whether six digits are a code of this moment: every step of the window is tried, whatever matched.

use std::time::Duration;

use portcullis_core::{Secret, Timestamp};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// The codes of one secret: HMAC-SHA-1, six digits, steps of 30 seconds (RFC 6238), the only kind that
/// every authenticator makes.
pub(crate) struct Codes(Totp);

impl Codes {
    /// None when the secret is shorter than 128 bits (RFC 4226 §4, R6).
    pub(crate) fn of(secret: &Secret) -> Option<Self> {
        let builder = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(STEP_SECS)
            .with_secret(secret.expose());
        builder.build().ok().map(Self)
    }

    /// The code of a step: HOTP with the step as its counter, truncated (RFC 4226 §5.3).
    pub(crate) fn at_step(&self, step: u64) -> Zeroizing<[u8; 6]> {
        let signature = self.0.sign(step.saturating_mul(STEP_SECS));
        let signature = signature.as_ref();
        // SHA-1 has twenty bytes and the offset is fifteen at most; what would be shorter makes a code
        // that nobody can type.
        let offset = usize::from(signature.last().map_or(0, |last| last & 0xf));
        let chosen = signature.get(offset..).and_then(<[u8]>::first_chunk::<4>);
        chosen.map_or_else(Zeroizing::default, |bytes| {
            digits_of(u32::from_be_bytes(*bytes) & 0x7fff_ffff)
        })
    }
}

/// The last six decimal digits of `value`, without a branch on any of them.
fn digits_of(mut value: u32) -> Zeroizing<[u8; 6]> {
    let mut digits = Zeroizing::new([b'0'; 6]);
    for digit in digits.iter_mut().rev() {
        let last = value % 10;
        *digit = digit.saturating_add(u8::try_from(last).unwrap_or(0));
        value /= 10;
    }
    digits
}

/// The newest step whose code `digits` are, of those within `window` steps of `now`'s.
pub(crate) fn newest_match(
    code_at: impl Fn(u64) -> Zeroizing<[u8; 6]>,
    digits: &[u8; 6],
    now: Timestamp,
    window: u8,
) -> Option<u64> {
    let (present, window) = (step_at(now), u64::from(window));
    let (mut matched, mut any) = (0, Choice::from(0));
    // Oldest first and to the end: a later match overwrites an earlier one, and no branch tells which
    // step it was, or whether there was one.
    for step in present.saturating_sub(window)..=present.saturating_add(window) {
        let hit = code_at(step).ct_eq(digits);
        matched.conditional_assign(&step, hit);
        any |= hit;
    }
    bool::from(any).then_some(matched)
}

/// The step that `now` is in.
pub(crate) const fn step_at(now: Timestamp) -> u64 {
    now.as_unix_secs() / STEP_SECS
}

/// When the code of `step` is first accepted with that window.
pub(crate) fn acceptable_from(step: u64, window: u8) -> Timestamp {
    let first = step.saturating_sub(u64::from(window));
    Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(first.saturating_mul(STEP_SECS)))
}

/// How long a step lasts.
pub(crate) const STEP_SECS: u64 = 30;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn codes(secret: &[u8]) -> Codes {
        Codes::of(&Secret::from(secret)).unwrap()
    }

    fn text(codes: &Codes, step: u64) -> String {
        String::from_utf8(codes.at_step(step).to_vec()).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_4226_appendix_d() {
        let codes = codes(b"12345678901234567890");
        let table = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (counter, code) in (0..).zip(table) {
            assert_eq!(text(&codes, counter), code, "count {counter}");
        }
    }

    #[test]
    fn codes_are_the_last_six_digits_of_rfc_6238_appendix_b_for_sha_1() {
        let codes = codes(b"12345678901234567890");
        let table: [(u64, &str); 6] = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (secs, code) in table {
            assert_eq!(text(&codes, secs / STEP_SECS), code[2..], "{secs} s");
        }
        // The step of an instant, up to the year 2554.
        for (secs, step) in [
            (59, 0x1),
            (1_111_111_109, 0x23_523ec),
            (2_000_000_000, 0x3f9_40aa),
        ] {
            assert_eq!(step_at(Timestamp::from_unix_secs(secs)), step);
        }
    }

    #[test]
    fn a_secret_shorter_than_128_bits_makes_no_codes() {
        assert!(Codes::of(&Secret::from(vec![7; 15])).is_none());
        assert!(Codes::of(&Secret::from(vec![7; 16])).is_some());
    }

    #[test]
    fn every_step_of_the_window_is_tried_whichever_matches() {
        let now = Timestamp::from_unix_secs(10 * STEP_SECS);
        for (window, steps) in [(0, 10..=10), (1, 9..=11), (2, 8..=12)] {
            for hit in 8..=13 {
                let tried = RefCell::new(Vec::new());
                let code_at = |step| {
                    tried.borrow_mut().push(step);
                    Zeroizing::new(if step == hit { *b"123456" } else { *b"000000" })
                };
                let found = newest_match(code_at, b"123456", now, window);
                assert_eq!(found, Some(hit).filter(|hit| steps.contains(hit)));
                assert_eq!(tried.into_inner(), steps.clone().collect::<Vec<u64>>());
            }
        }
    }

    #[test]
    fn of_two_steps_with_the_same_code_the_newer_one_is_used_up() {
        let now = Timestamp::from_unix_secs(10 * STEP_SECS);
        let code_at = |step| Zeroizing::new(if step < 11 { *b"123456" } else { *b"000000" });
        assert_eq!(newest_match(code_at, b"123456", now, 1), Some(10));
        let same = |_| Zeroizing::new(*b"123456");
        assert_eq!(newest_match(same, b"123456", now, 2), Some(12));
    }

    #[test]
    fn the_window_ends_at_the_epoch_and_at_the_end_of_time() {
        let same = |_| Zeroizing::new(*b"123456");
        assert_eq!(
            newest_match(same, b"123456", Timestamp::UNIX_EPOCH, 2),
            Some(2)
        );
        let last = step_at(Timestamp::MAX);
        assert_eq!(
            newest_match(same, b"123456", Timestamp::MAX, 2),
            Some(last + 2)
        );
        let codes = codes(&[7; 20]);
        assert!(newest_match(|step| codes.at_step(step), b"abcdef", Timestamp::MAX, 2).is_none());
    }

    proptest! {
        #[test]
        fn we_accept_what_totp_rs_accepts(secret in any::<[u8; 20]>(), secs in 0..10_000_000_000_u64, off in -3_i64..=3, window in 0..=2_u8) {
            let codes = codes(&secret);
            let digits = codes.at_step((secs / STEP_SECS).saturating_add_signed(off));
            let peer = Builder::new().with_skew(window.into()).with_secret(secret).build().unwrap();
            let theirs = peer.check(std::str::from_utf8(&*digits).unwrap(), secs);
            let now = Timestamp::from_unix_secs(secs);
            let ours = newest_match(|step| codes.at_step(step), &digits, now, window);
            prop_assert_eq!(ours.is_some(), theirs.is_some());
            prop_assert!(ours >= theirs);
        }

        #[test]
        fn a_code_is_accepted_from_the_instant_said_and_not_before(step in 2..1_000_000_u64, window in 0..=2_u8) {
            let from = acceptable_from(step, window);
            let codes = codes(&[7; 20]);
            let digits = codes.at_step(step);
            let at = |now| newest_match(|step| codes.at_step(step), &digits, now, window);
            prop_assert!(at(from) >= Some(step));
            let before = from.saturating_sub(Duration::from_nanos(1));
            prop_assert!(from == Timestamp::UNIX_EPOCH || at(before) != Some(step));
        }
    }
}
