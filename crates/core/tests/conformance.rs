//! The conformance suite tested: stores that keep the laws pass, and each broken one is found out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use portcullis_core::testing::{Law, Part, Race, store_conformance};
use portcullis_core::{AnyStore, Cause, Durability, Failure, Key, Memory, Next, Store, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// One way to break a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    ReadsThenWrites,
    AnswersTheFirstRun,
    AppliesTwice,
    KeepsRefusedValues,
    ForgetsEarly,
    ForgetsWhenTheClockStepsBack,
    TreatsTheLatestInstantsAsPast,
    IgnoresScope,
    TruncatesKeys,
    JoinsParts,
    WedgedByADroppedCaller,
    RunsBeforeItIsPolled,
    PoisonedByAPanic,
    SwallowsPanics,
    AcknowledgesUnwritten,
    IgnoresRemove,
    WritesOnSettled,
    CutsLongValues,
    ShowsAnEmptySlice,
}

type Held = (Vec<u8>, Timestamp);

/// A store in a map, right but for its fault.
struct Broken {
    fault: Fault,
    map: Mutex<HashMap<Vec<u8>, Held>>,
    busy: Mutex<HashSet<Vec<u8>>>,
    latest: Mutex<Timestamp>,
    whole: Mutex<()>,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            map: Mutex::default(),
            busy: Mutex::default(),
            latest: Mutex::default(),
            whole: Mutex::default(),
        }
    }

    fn place(&self, key: &Key) -> Vec<u8> {
        let mut place = match self.fault {
            Fault::IgnoresScope => Vec::new(),
            _ => [key.scope().as_str().as_bytes(), b"/"].concat(),
        };
        let bytes = key.to_bytes();
        match self.fault {
            Fault::TruncatesKeys => place.extend(&bytes[..16]),
            // Forgets how long each part is: a length byte is below every letter.
            Fault::JoinsParts => place.extend(bytes.iter().filter(|byte| **byte >= 32)),
            _ => place.extend(bytes),
        }
        place
    }

    fn read(&self, place: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let mut latest = self.latest.lock().unwrap();
        let stepped_back = now < *latest;
        *latest = now.max(*latest);
        let map = self.map.lock().unwrap();
        let (value, expires_at) = map.get(place)?;
        let early = match self.fault {
            Fault::ForgetsEarly => now.as_unix_secs() >= expires_at.as_unix_secs(),
            Fault::ForgetsWhenTheClockStepsBack => stepped_back,
            Fault::TreatsTheLatestInstantsAsPast => expires_at.as_unix_nanos() >= 1 << 63,
            _ => false,
        };
        (!early).then(|| value.clone())
    }

    fn write(&self, place: Vec<u8>, next: Next) -> Result<(), Failure> {
        let mut map = self.map.lock().unwrap();
        match next {
            Next::Put { .. } if self.fault == Fault::AcknowledgesUnwritten => {}
            Next::Put { value, expires_at } => {
                let kept = match self.fault {
                    Fault::CutsLongValues => {
                        value.as_bytes().iter().copied().take(65_535).collect()
                    }
                    _ => value.as_bytes().to_vec(),
                };
                let checked = value.check();
                if checked.is_ok() || self.fault == Fault::KeepsRefusedValues {
                    map.insert(place, (kept, expires_at));
                }
                checked?;
            }
            Next::Settled if self.fault == Fault::WritesOnSettled => {
                map.insert(place, (b"settled".to_vec(), Timestamp::MAX));
            }
            Next::Remove if self.fault == Fault::ShowsAnEmptySlice => {
                map.insert(place, (Vec::new(), Timestamp::MAX));
            }
            Next::Remove if self.fault != Fault::IgnoresRemove => {
                map.remove(&place);
            }
            Next::Remove | Next::Keep | Next::Settled => {}
        }
        Ok(())
    }

    /// The faults that run the step in a way of their own.
    fn with_fault<T>(
        &self,
        place: &[u8],
        now: Timestamp,
        step: &impl Fn(Option<&[u8]>) -> (T, Next),
    ) -> Option<Result<T, Failure>> {
        match self.fault {
            Fault::AnswersTheFirstRun => {
                let (first, _) = step(None);
                let (_, next) = step(self.read(place, now).as_deref());
                Some(self.write(place.to_vec(), next).map(|()| first))
            }
            Fault::AppliesTwice => {
                let (_, next) = step(self.read(place, now).as_deref());
                self.write(place.to_vec(), next).ok()?;
                None
            }
            Fault::SwallowsPanics => {
                let run = || step(self.read(place, now).as_deref());
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                    Ok((answer, next)) => Some(self.write(place.to_vec(), next).map(|()| answer)),
                    Err(_) => Some(Err(Failure::Unavailable(Cause::Closed))),
                }
            }
            _ => None,
        }
    }
}

/// Pending once.
async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut given, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

impl Store for Broken {
    fn update<T, F>(
        &self,
        key: Key,
        now: Timestamp,
        step: F,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let place = self.place(&key);
        let mut early = None;
        if self.fault == Fault::RunsBeforeItIsPolled {
            let (answer, next) = step(self.read(&place, now).as_deref());
            early = Some(self.write(place.clone(), next).map(|()| answer));
        }
        async move {
            if let Some(answer) = early {
                return answer;
            }
            if self.fault == Fault::ReadsThenWrites {
                let (answer, next) = step(self.read(&place, now).as_deref());
                tokio::task::yield_now().await;
                return self.write(place, next).map(|()| answer);
            }
            if self.fault == Fault::WedgedByADroppedCaller {
                if !self.busy.lock().unwrap().insert(place.clone()) {
                    return Err(Failure::Contended);
                }
                give_way().await;
                self.busy.lock().unwrap().remove(&place);
            }
            if let Some(answer) = self.with_fault(&place, now, &step) {
                return answer;
            }
            // The step runs under the lock, so that nobody comes between.
            let whole = match self.fault {
                Fault::PoisonedByAPanic => self.whole.lock().unwrap(),
                _ => self.whole.lock().unwrap_or_else(PoisonError::into_inner),
            };
            let (answer, next) = step(self.read(&place, now).as_deref());
            let done = self.write(place, next);
            drop(whole);
            done.map(|()| answer)
        }
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    fn birth(&self) -> Timestamp {
        NOW
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_keep_the_laws_pass() {
    assert_eq!(store_conformance(async || Memory::new(NOW)).await, Ok(()));
    assert_eq!(
        store_conformance(async || AnyStore::new(Memory::new(NOW))).await,
        Ok(())
    );
    assert_eq!(
        store_conformance(async || Broken::new(Fault::None)).await,
        Ok(()),
        "the broken store is right without its fault"
    );
}

#[tokio::test]
async fn stores_that_keep_the_laws_pass_on_one_thread() {
    assert_eq!(store_conformance(async || Memory::new(NOW)).await, Ok(()));
}

#[tokio::test]
async fn each_broken_store_is_found_out_by_the_law_it_breaks() {
    std::panic::set_hook(Box::new(|_| {}));
    let cases = [
        (Fault::ReadsThenWrites, Law::OneAct),
        (Fault::AnswersTheFirstRun, Law::AnswerThatCounted),
        (Fault::AppliesTwice, Law::AnswerThatCounted),
        (Fault::KeepsRefusedValues, Law::NothingOnFailure),
        (Fault::ForgetsEarly, Law::NeverEarly),
        (Fault::ForgetsWhenTheClockStepsBack, Law::NeverEarly),
        (Fault::TreatsTheLatestInstantsAsPast, Law::NeverEarly),
        (Fault::IgnoresScope, Law::KeysDoNotTouch),
        (Fault::TruncatesKeys, Law::KeysDoNotTouch),
        (Fault::JoinsParts, Law::KeysDoNotTouch),
        (Fault::WedgedByADroppedCaller, Law::DroppedIsNotLost),
        (Fault::RunsBeforeItIsPolled, Law::DroppedIsNotLost),
        (Fault::PoisonedByAPanic, Law::PanicStaysWithItsCaller),
        (Fault::SwallowsPanics, Law::PanicStaysWithItsCaller),
        (Fault::AcknowledgesUnwritten, Law::AcknowledgedIsKept),
        (Fault::IgnoresRemove, Law::StepIsObeyed),
        (Fault::WritesOnSettled, Law::StepIsObeyed),
        (Fault::CutsLongValues, Law::StepIsObeyed),
        (Fault::ShowsAnEmptySlice, Law::NeverEmpty),
    ];
    let mut found = Vec::new();
    for (fault, _) in cases {
        let verdict = store_conformance(async || Broken::new(fault)).await;
        found.push((fault, verdict.map_err(|violation| violation.law)));
    }
    drop(std::panic::take_hook());
    let expected = cases.map(|(fault, law)| (fault, Err(law)));
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_token_is_won_once_in_memory() {
    let race = Race::new(100, 64, 1);
    let wins = race.contest(&Arc::new(Memory::new(NOW)), NOW, 1).await;
    assert_eq!(race.judge(&wins.unwrap()), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_reads_and_then_writes_loses_the_race() {
    let race = Race::new(100, 64, 1);
    let store = Arc::new(Broken::new(Fault::ReadsThenWrites));
    let wins = race.contest(&store, NOW, 1).await.unwrap();
    assert_eq!(race.judge(&wins).unwrap_err().law, Law::OneAct);
}

#[test]
fn the_judge_refuses_a_token_won_twice_never_or_from_elsewhere() {
    let race = Race::new(3, 1, 1);
    assert_eq!(race.judge(&[2, 0, 1]), Ok(()));
    for (wins, what) in [
        (&[0, 1, 2, 1][..], "token 1 was won 2 times"),
        (&[0, 1], "token 2 was won 0 times"),
        (&[], "token 0 was won 0 times"),
        (&[0, 1, 2, 3], "token 3 was won and is not in the race"),
    ] {
        assert_eq!(race.judge(wins).unwrap_err().what, what);
    }
}

/// Each process has a memory of its own here, so each wins every token: what the processes report
/// arrives whole, and the judge sees through it.
#[test]
fn processes_that_share_no_store_all_win() {
    let race = Race::new(100, 8, 3);
    if let Some(part) = Part::current() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        part.ready().unwrap();
        let store = Arc::new(Memory::new(NOW));
        let wins = runtime.block_on(race.contest(&store, NOW, part.number()));
        part.report(&wins.unwrap()).unwrap();
        return;
    }
    let place = std::path::Path::new("nowhere");
    let wins = Part::run(
        "processes_that_share_no_store_all_win",
        place,
        race.processes(),
    )
    .unwrap();
    assert_eq!(wins.len(), 300);
    assert_eq!(
        race.judge(&wins).unwrap_err().what,
        "token 0 was won 3 times"
    );
}

#[test]
fn a_process_that_fails_fails_the_race() {
    if Part::current().is_some() {
        std::process::exit(3);
    }
    let place = std::path::Path::new("nowhere");
    assert!(Part::run("a_process_that_fails_fails_the_race", place, 2).is_err());
}
