//! Right and wrong passwords, a crowd, a caller who hangs up, a lock, and a new password.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;

use portcullis_audit::testing::MemorySink;
use portcullis_core::{AnyStore, Clock, Memory, Secret, SystemClock};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis_session::{SessionPolicy, Sessions};
use portcullis_sign_in::testing::MapDirectory;
use portcullis_sign_in::{Argon2Pool, Attempt, Hasher, Parts, SignIn, SignInPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    // A service gives a durable store, its own table of users and an audit log on disk here.
    let store = AnyStore::new(Memory::new(now));
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(store.clone(), Secret::generate::<32>()?, policy)?;
    let lockout = Arc::new(Lockout::new(store, LockoutPolicy::default()));
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
    };
    let policy = SignInPolicy::default();
    let sign_in = SignIn::new(parts, Arc::new(hasher), SystemClock, policy).await?;

    let from = "192.0.2.1".parse()?;
    let attempt = |name, password| Attempt::new(name, password).address(from, "peer");
    let signed_in = sign_in.sign_in(attempt(" ALICE ", right()), now).await?;
    println!("however the name is spelled: session {}", signed_in.session);

    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (sign_in, attempt) = (sign_in.clone(), attempt("alice", right()));
            tokio::spawn(async move { sign_in.sign_in(attempt, now).await.is_ok() })
        })
        .collect();
    let mut successes = 0_u32;
    for login in crowd {
        successes = successes.saturating_add(u32::from(login.await?));
    }
    println!("of twenty right passwords at once {successes} sign in");

    for (name, password) in [("alice", wrong()), ("nobody", wrong()), ("nobody", right())] {
        if let Err(error) = sign_in.sign_in(attempt(name, password), now).await {
            let why = error.log_reason();
            println!("the caller is told: {error} (the log learns: {why})");
        }
    }

    let new = Secret::from(b"a staple of another kind".as_slice());
    let change = sign_in.change_password(attempt("alice", right()), new.clone(), now);
    change.await?;
    let left = sessions.list("alice", now).await?.len();
    println!("the password is changed; sessions left: {left}");

    for _ in 0..5 {
        if let Err(error) = sign_in.sign_in(attempt("alice", right()), now).await {
            println!("the old password: {}", error.log_reason());
        }
    }
    if let Err(error) = sign_in.sign_in(attempt("alice", new.clone()), now).await {
        println!("and now the new one: {error} ({})", error.log_reason());
    }
    lockout.unlock(&alice, now).await?;
    let opened = sign_in.sign_in(attempt("alice", new), now).await;
    println!("an administrator unlocks: signed in {}", opened.is_ok());
    println!("recorded: {} events", log.events().len());
    Ok(())
}
