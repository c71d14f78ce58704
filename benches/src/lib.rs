//! What every bench shares: one way to measure and the `RATIO` lines that the report is made from.
//!
//! `RATIO <bench> <case> <peer> <value>`: value = the peer's cost ÷ ours, above 1 is better for us.
//! A peer called `floor` is the same work written by hand for the one case.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds per call of `ours` and of `theirs`: the median of many short rounds run in turn, so
/// that a slow moment of the machine hurts both.
pub fn pair<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (f64, f64) {
    let calls = calibrate(&mut ours).max(calibrate(&mut theirs));
    let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rounds.push(round(calls, &mut ours));
        their_rounds.push(round(calls, &mut theirs));
    }
    (median(our_rounds), median(their_rounds))
}

/// Measures both and prints the line `RATIO <bench> <case> <peer> <value>` with the two costs.
#[expect(clippy::print_stdout, reason = "the report is made from these lines")]
pub fn ratio<A, B>(
    bench: &str,
    case: &str,
    peer: &str,
    ours: impl FnMut() -> A,
    theirs: impl FnMut() -> B,
) {
    let (ours, theirs) = pair(ours, theirs);
    println!("RATIO {bench} {case} {peer} {:.2}", theirs / ours);
    println!("# {bench} {case}: ours {ours:.1} ns, {peer} {theirs:.1} ns");
}

fn calibrate<T>(call: &mut impl FnMut() -> T) -> u32 {
    let mut calls = 1_u32;
    while calls < 1 << 24 && elapsed(calls, call) < ROUND {
        calls = calls.saturating_mul(2);
    }
    calls
}

fn round<T>(calls: u32, call: &mut impl FnMut() -> T) -> f64 {
    elapsed(calls, call).as_secs_f64() * 1e9 / f64::from(calls)
}

fn elapsed<T>(calls: u32, call: &mut impl FnMut() -> T) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed()
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
}

const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(5);
