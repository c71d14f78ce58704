//! A log that shows when it was changed: write, read, tamper, and what `verify` says.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use portcullis_audit::{
    Action, Event, Filter, Log, LogPolicy, Sink, query, verify, verify_against,
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

    for record in query(&folder, &key, &Filter::default().limit(2))? {
        println!("{}", record.to_json());
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
    println!(
        "\none bit flipped:\n  {:?}",
        verify(&folder, &key).map_err(|error| error.to_string())
    );

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
    let refused = verify_against(&folder, &key, &checkpoint).map_err(|error| error.to_string());
    println!("  {refused:?}");
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
