//! Right and wrong passwords, a crowd, a second factor, a new password, and a lock.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::testing::MemorySink;
use portcullis_core::{AnyStore, Clock, Memory, Reason, Secret, SystemClock, Timestamp};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis_session::{SessionPolicy, Sessions};
use portcullis_sign_in::testing::{MapDirectory, trial_factors};
use portcullis_sign_in::{
    Argon2Pool, Attempt, Entered, Hasher, Origin, Parts, Shown, SignIn, SignInPolicy, SignedIn,
};
use portcullis_totp_mfa::testing::codes;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    // A service gives a durable store, its own table of users and an audit log on disk here.
    let store = AnyStore::new(Memory::new(now));
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(store.clone(), Secret::generate::<32>()?, policy)?;
    let lockout = Arc::new(Lockout::new(store.clone(), LockoutPolicy::default()));
    let (users, log, sessions) = (MapDirectory::new(), MemorySink::new(), Arc::new(sessions));
    let hasher = Argon2Pool::default();
    let right = || Secret::from(b"correct horse battery".as_slice());
    let wrong = || Secret::from(b"Tr0ub4dor&3".as_slice());
    let alice = AccountName::parse("alice")?;
    users.insert(&alice, hasher.hash(right()).await?);
    let parts = Parts {
        directory: users,
        sink: log.clone(),
        lockout: Arc::clone(&lockout),
        sessions: Arc::clone(&sessions),
        second_factors: trial_factors()?, // in a service under keys that are kept
        store,
    };
    let policy = SignInPolicy::default();
    let sign_in = SignIn::new(parts, Arc::new(hasher), SystemClock, policy).await?;

    let from = "192.0.2.1".parse()?;
    let origin = Origin::new().address(from, "peer");
    let attempt = |name, password| Attempt::new(name, password).origin(origin.clone());
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (sign_in, attempt) = (sign_in.clone(), attempt("alice", right()));
            tokio::spawn(async move { sign_in.sign_in(attempt, now).await.is_ok() })
        })
        .collect();
    for login in crowd {
        assert!(login.await?, "one of twenty at once was refused");
    }
    println!("twenty at once are signed in");

    // A user has so many sessions at most; of too many the one used longest ago ends, and this is the newest.
    let now = now.saturating_add(Duration::from_secs(1));
    let Entered::SignedIn(signed_in) = sign_in.sign_in(attempt(" ALICE ", right()), now).await?
    else {
        return Err("no second factor is enrolled yet".into());
    };
    println!("however the name is spelled: session {}", signed_in.session);

    for (name, password, expected) in [
        ("alice", wrong(), Reason::PasswordWrong),
        ("nobody", wrong(), Reason::UserUnknown),
        ("nobody", right(), Reason::UserUnknown),
    ] {
        let (told, why) = refused(&sign_in, attempt(name, password), now).await?;
        println!("the caller is told: {told} (the log learns: {why})");
        assert_eq!(why, expected);
    }

    let again = attempt("alice", right());
    second_factor(&sign_in, &sessions, signed_in, again, now).await?;

    let new = Secret::from(b"a staple of another kind".as_slice());
    let change = sign_in.change_password(attempt("alice", right()), new.clone(), now);
    change.await?;
    let left = sessions.list("alice", now).await?.len();
    println!("the password is changed; sessions left: {left}");
    assert_eq!(left, 0);

    for _ in 0..5 {
        let (_, why) = refused(&sign_in, attempt("alice", right()), now).await?;
        println!("the old password: {why}");
    }
    let (told, why) = refused(&sign_in, attempt("alice", new.clone()), now).await?;
    println!("and now the new one: {told} ({why})");
    assert_eq!(why, Reason::AccountLocked);
    lockout.unlock(&alice, now).await?;
    let opened = sign_in.sign_in(attempt("alice", new), now).await;
    println!("an administrator unlocks: {:?}", opened?);
    println!("recorded: {} events", log.events().len());
    Ok(())
}

/// What the caller is told of an attempt that must not succeed, and what the log learns.
async fn refused(
    sign_in: &SignIn<MapDirectory, MemorySink>,
    attempt: Attempt,
    now: Timestamp,
) -> Result<(String, Reason), Box<dyn std::error::Error>> {
    match sign_in.sign_in(attempt, now).await {
        Ok(_) => Err("a wrong password was let in".into()),
        Err(error) => Ok((error.to_string(), error.log_reason())),
    }
}

/// An authenticator is enrolled, and from then on asked for.
async fn second_factor(
    sign_in: &SignIn<MapDirectory, MemorySink>,
    sessions: &Sessions<AnyStore>,
    signed_in: SignedIn,
    again: Attempt,
    now: Timestamp,
) -> Result<(), Box<dyn std::error::Error>> {
    let live = sessions.live(&signed_in.session, now).await?;
    let enrolment = sign_in.enrol(&live, "alice@example.org", now).await?;
    let code = |at| codes::at(enrolment.secret(), at);
    let confirmed = sign_in.confirm(&live, Shown::new(&code(now)), now).await?;
    let made = confirmed.recovery_codes().iter().count();
    println!("an authenticator is enrolled; recovery codes: {made}");
    let later = now.saturating_add(Duration::from_secs(30));
    let Entered::SecondFactor(challenge) = sign_in.sign_in(again, later).await? else {
        return Err("the password alone must not be enough now".into());
    };
    let (used, new) = (code(now), code(later));
    let answer = |code| sign_in.answer(challenge.expose(), Shown::new(code), later);
    let why = answer(&used)
        .await
        .map_err(|error| error.log_reason())
        .err();
    println!("a used code: {why:?}");
    assert_eq!(why, Some(Reason::SecondFactorReplayed));
    answer(&new).await?;
    println!("a new code: signed in");
    Ok(())
}
