//! Many tasks in many processes show the same codes, and processes are killed in their midst: each code
//! is accepted once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::testing::{Part, Started};
use portcullis_core::{Failure, Sealer, Secret, Timestamp};
use portcullis_store_sqlite::Sqlite;
use portcullis_totp_mfa::testing::codes;
use portcullis_totp_mfa::{Code, Error, Kind, MfaPolicy, SecondFactors};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

const ENROLLED: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const TASKS: usize = 64;
const KILLS: usize = 3;
/// A process that is killed may have won the two codes of the round that was contested, and those of the
/// next, and not have said so yet.
const WON_UNTOLD: usize = 4;
const UNDISTURBED: &str =
    "a_code_shown_by_64_tasks_in_each_of_3_processes_is_accepted_by_one_of_them";
const KILLED: &str = "a_code_is_accepted_once_though_processes_are_killed_while_they_win";

/// How many codes of either kind are raced for; the long checks ask for 200.
fn rounds() -> u32 {
    std::env::var("PORTCULLIS_RACE_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap())
}

fn later() -> Timestamp {
    ENROLLED.saturating_add(Duration::from_secs(30))
}

fn factors() -> SecondFactors {
    let key = |byte| Secret::from(vec![byte; 32]);
    let sealer = Sealer::new(1, &key(1)).unwrap();
    SecondFactors::new(sealer, &key(2), MfaPolicy::new("race").unwrap()).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn user(round: u32) -> String {
    format!("user{round}")
}

fn shown_in(place: &Path) -> PathBuf {
    place.with_extension("codes")
}

/// A user for each round, and the two codes of each: of the authenticator's next step, and for recovery.
fn enrol(place: &Path) {
    let shown: Vec<String> = runtime().block_on(async {
        let store = Sqlite::open(place, ENROLLED).unwrap();
        let factors = factors();
        let mut shown = Vec::new();
        for round in 0..rounds() {
            let user = user(round);
            let begun = factors.enrol(&store, &user, &user, ENROLLED).await.unwrap();
            let first = Code::parse(&codes::at(begun.secret(), ENROLLED)).unwrap();
            let confirmed = factors
                .confirm(&store, &user, &first, ENROLLED)
                .await
                .unwrap();
            let recovery = confirmed.recovery_codes().iter().next().unwrap().to_owned();
            shown.extend([codes::at(begun.secret(), later()), recovery]);
        }
        store.close().await;
        shown
    });
    fs::write(shown_in(place), shown.join("\n")).unwrap();
}

/// The codes, two a round, by their number.
fn shown(place: &Path) -> Vec<String> {
    let text = fs::read_to_string(shown_in(place)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// One code shown once: whether it was accepted. A store that is contended did nothing.
async fn show(
    factors: &SecondFactors,
    store: &Sqlite,
    number: u32,
    code: &str,
) -> Result<bool, Error> {
    loop {
        let presented = factors.present(&user(number / 2), Code::parse(code).unwrap());
        match presented.consume(store, later()).await {
            Ok(proof) => {
                let kind = [Kind::Totp, Kind::RecoveryCode][number as usize % 2];
                assert_eq!(proof.kind(), kind);
                return Ok(true);
            }
            Err(Error::Replayed) => return Ok(false),
            Err(Error::Store(Failure::Contended)) => yield_now().await,
            Err(error) => return Err(error),
        }
    }
}

/// All tasks show every code in the same order, and say at once which they got through with.
fn contest(part: &Part) {
    let shown = Arc::new(shown(part.place()));
    let store = Sqlite::open(part.place(), ENROLLED).unwrap();
    part.ready().unwrap();
    runtime().block_on(async {
        let start = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (shown, store, start) = (Arc::clone(&shown), store.clone(), Arc::clone(&start));
            let (factors, part) = (factors(), part.clone());
            tasks.spawn(async move {
                start.wait().await;
                for (number, code) in (0..).zip(shown.iter()) {
                    if show(&factors, &store, number, code).await.unwrap() {
                        part.report(&[number]).unwrap();
                    }
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        store.close().await;
    });
}

/// The same code at once, in many replicas, and a recovery code raced for. Nobody is killed: each is
/// accepted by one who tells of it.
#[test]
fn a_code_shown_by_64_tasks_in_each_of_3_processes_is_accepted_by_one_of_them() {
    if let Some(part) = Part::current() {
        contest(&part);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("race.db");
    enrol(&place);
    let accepted = Part::run(UNDISTURBED, &place, 3).unwrap();
    judge(&place, &accepted, 0);
}

/// The same with kill -9 in their midst.
#[test]
fn a_code_is_accepted_once_though_processes_are_killed_while_they_win() {
    if let Some(part) = Part::current() {
        contest(&part);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("race.db");
    enrol(&place);
    let start = |number| {
        let mut command = Part::command(KILLED, &place, number).unwrap();
        Part::start(&mut command).unwrap()
    };
    let mut running: Vec<Started> = (0..3).map(start).collect();
    for process in &mut running {
        process.go().unwrap();
    }
    let mut accepted = Vec::new();
    // One that is winning is ended, and another takes its place and begins at the first code again.
    for kill in 1..=KILLS {
        let mut process = running.remove(0);
        let enough = rounds() as usize * kill / (3 * (KILLS + 1));
        let mut won = 0;
        while won < enough {
            let Some(numbers) = process.next_report().unwrap() else {
                break;
            };
            won += numbers.len();
            accepted.extend(numbers);
        }
        accepted.extend(process.kill().unwrap());
        let mut next = start(2 + kill as u64);
        next.go().unwrap();
        running.push(next);
    }
    let readers: Vec<_> = running
        .into_iter()
        .map(|process| std::thread::spawn(move || process.finish().unwrap()))
        .collect();
    for reader in readers {
        accepted.extend(reader.join().unwrap());
    }
    judge(&place, &accepted, KILLS * WON_UNTOLD);
}

/// No code was accepted twice, none is left unused, and no more than `most_untold` of them were accepted by
/// a process that did not live to tell.
fn judge(place: &Path, accepted: &[u32], most_untold: usize) {
    let codes = 2 * rounds();
    let told: BTreeSet<u32> = accepted.iter().copied().collect();
    assert_eq!(told.len(), accepted.len(), "a code was accepted twice");
    assert!(told.iter().all(|number| *number < codes));
    let untold = codes as usize - told.len();
    assert!(
        untold <= most_untold,
        "{untold} codes were accepted by nobody who told of it"
    );
    let left = runtime().block_on(async {
        let store = Sqlite::open(place, ENROLLED).unwrap();
        let factors = factors();
        let mut left = Vec::new();
        for (number, code) in (0..).zip(shown(place)) {
            if show(&factors, &store, number, &code).await.unwrap() {
                left.push(number);
            }
        }
        store.close().await;
        left
    });
    assert_eq!(left, Vec::<u32>::new(), "codes that no process used up");
    println!("{codes} codes: {} told, {untold} untold", told.len());
}
