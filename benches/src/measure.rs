//! One way to measure: both sides in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Measures both and prints the line `RATIO <bench> <case> <peer> <value>` with the two costs.
///
/// # Panics
/// When a case or a peer has white space: the line could not be read back.
#[expect(clippy::print_stdout, reason = "the report is made from these lines")]
pub fn ratio<A, B>(
    bench: &str,
    case: &str,
    peer: &str,
    ours: impl FnMut() -> A,
    theirs: impl FnMut() -> B,
) {
    for word in [bench, case, peer] {
        let one = !word.is_empty() && !word.contains(char::is_whitespace);
        assert!(one, "{word:?} is not one word, and a line is read by words");
    }
    let (ours, theirs) = pair(ours, theirs);
    println!("RATIO {bench} {case} {peer} {:.2}", theirs / ours);
    println!("# {bench} {case}: ours {ours:.1} ns, {peer} {theirs:.1} ns");
}

/// Nanoseconds per call of `ours` and of `theirs`: the median of many short rounds run in turn, so
/// that a slow moment of the machine hurts both.
pub fn pair<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (f64, f64) {
    let (our_calls, their_calls) = (calibrate(&mut ours), calibrate(&mut theirs));
    let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
    let begun = now();
    // A call that takes long makes its rounds long, and fewer of them do.
    while our_rounds.len() < ROUNDS
        && (our_rounds.len() < FEWEST_ROUNDS || begun.elapsed() < ENOUGH)
    {
        our_rounds.push(round(our_calls, &mut ours));
        their_rounds.push(round(their_calls, &mut theirs));
    }
    (median(our_rounds), median(their_rounds))
}

/// How many calls fill a round. A round that was interrupted looks long, so the shortest of three counts.
fn calibrate<T>(call: &mut impl FnMut() -> T) -> u32 {
    let mut calls = 1_u32;
    while calls < 1 << 24 && (0..3).any(|_| elapsed(calls, call) < ROUND) {
        calls = calls.saturating_mul(2);
    }
    calls
}

fn round<T>(calls: u32, call: &mut impl FnMut() -> T) -> f64 {
    elapsed(calls, call).as_secs_f64() * 1e9 / f64::from(calls)
}

fn elapsed<T>(calls: u32, call: &mut impl FnMut() -> T) -> Duration {
    let start = now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed()
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    Instant::now()
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
}

const ROUNDS: usize = 201;
const FEWEST_ROUNDS: usize = 31;
const ENOUGH: Duration = Duration::from_secs(2);
/// Shorter than the slice of time that a busy machine gives a thread: most rounds are not interrupted.
const ROUND: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "is not one word")]
    fn a_case_with_a_space_is_refused() {
        ratio("jwt", "wrong signature", "floor", || (), || ());
    }

    #[test]
    #[should_panic(expected = "is not one word")]
    fn a_peer_without_a_name_is_refused() {
        ratio("jwt", "verify", "", || (), || ());
    }

    #[test]
    fn the_middle_round_counts_whatever_the_others_were() {
        assert!((median(vec![9e9, 2.0, 1.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
