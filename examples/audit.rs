//! A log that shows when it was changed: write, read, tamper, and what `verify` says.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use portcullis_audit::{
    Action, AuditError, CheckpointError, Damage, Event, Filter, Log, LogPolicy, Sink, query,
    verify, verify_against,
};
use portcullis_core::{Clock, Reason, Secret, SystemClock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("portcullis-audit-{}", std::process::id()));
    let key = Secret::generate::<32>()?;
    let now = SystemClock.now();

    let (log, recovery) = Log::open(&folder, &key, LogPolicy::default(), now)?;
    println!("log {} was begun", recovery.log);
    let attempt = Event::new(Action::FailedLogin, now)
        .user("alice\u{202e}")
        .address("203.0.113.9".parse()?, "peer")
        .user_agent("curl/8.5 \u{1b}[2J Bearer abc.def.ghi")
        .reason(Reason::PasswordWrong);
    for _ in 0..3 {
        log.record(attempt.clone()).await?;
    }
    let segment = folder.join("audit-00000001.log");
    let three_records = std::fs::metadata(&segment)?.len();
    let recorded = log
        .record(Event::new(Action::Login, now).user("bob"))
        .await?;
    println!("record {} is on disk\n", recorded.sequence);
    assert_eq!(recorded.sequence, 4);

    for record in query(&folder, &key, &Filter::default().limit(2))? {
        println!("{}", record.to_json());
        assert!(!record.to_json().contains("abc.def.ghi"), "a token leaked");
    }
    // Kept elsewhere: where whoever can change the log cannot.
    let checkpoint = log.checkpoint();
    log.close().await;
    println!("\n{}", verify_against(&folder, &key, &checkpoint)?);

    let whole = std::fs::read(&segment)?;
    let mut changed = whole.clone();
    if let Some(byte) = changed.get_mut(200) {
        *byte ^= 1;
    }
    std::fs::write(&segment, changed)?;
    let Err(AuditError::Damaged(finding)) = verify(&folder, &key) else {
        return Err("a flipped bit went unseen".into());
    };
    println!("\none bit flipped:\n  {finding}");
    assert_eq!((finding.sequence, finding.damage), (1, Damage::Edited));

    // Cut at the end of a record, the chain alone does not show it; the checkpoint does.
    std::fs::write(&segment, &whole)?;
    let file = std::fs::OpenOptions::new().write(true).open(&segment)?;
    file.set_len(three_records)?;
    let (log, recovery) = Log::open(&folder, &key, LogPolicy::default(), now)?;
    log.close().await;
    println!(
        "\ntail cut, and opened again:\n  {recovery:?}\n  {}",
        verify(&folder, &key)?
    );
    let Err(AuditError::Checkpoint(refused)) = verify_against(&folder, &key, &checkpoint) else {
        return Err("a cut tail went unseen".into());
    };
    println!("  {refused}");
    assert!(matches!(
        refused,
        CheckpointError::TailCut {
            checkpoint: 4,
            found: 3
        }
    ));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
