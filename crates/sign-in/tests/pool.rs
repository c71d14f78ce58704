//! The pool of hashing threads: bounded whoever waits, and strict about what it verifies.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::task::{Context, Waker};

use portcullis_core::Secret;
use portcullis_sign_in::{Argon2Pool, HashError, Hasher};
use tokio::task::yield_now;

fn password() -> Secret {
    Secret::from(b"correct horse battery".as_slice())
}

fn free(pool: &Argon2Pool) -> String {
    format!("{pool:?}")
}

#[tokio::test]
async fn a_hash_fits_its_password_alone_and_no_two_are_alike() {
    let pool = Argon2Pool::new(1, 64, 1).unwrap();
    let (one, two) = (
        pool.hash(password()).await.unwrap(),
        pool.hash(password()).await.unwrap(),
    );
    assert_ne!(one, two);
    assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    assert_eq!(pool.verify(one.clone(), password()).await, Ok(true));
    for wrong in [
        &b""[..],
        b"correct horse batterz",
        b"correct horse battery\0",
    ] {
        assert_eq!(pool.verify(one.clone(), wrong.into()).await, Ok(false));
    }
}

#[tokio::test]
async fn the_reference_vector_of_argon2id_fits() {
    // phc-winner-argon2, src/test.c, Argon2id version 0x13.
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ\
                $nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let pool = Argon2Pool::new(1, 64, 1).unwrap();
    let verdict = pool.verify(hash.into(), b"password".as_slice().into());
    assert_eq!(verdict.await, Ok(true));
}

#[tokio::test]
async fn a_hash_that_is_none_incomplete_or_dear_is_malformed_and_judges_nobody() {
    let pool = Argon2Pool::new(1, 64, 1).unwrap();
    let good = pool.hash(password()).await.unwrap();
    let (head, _) = good.rsplit_once('$').unwrap();
    let (bare, _) = head.rsplit_once('$').unwrap();
    let dear = [
        ("m=64", "m=4294967295"),
        ("t=1", "t=4294967295"),
        ("p=1", "p=16777215"),
        // More than sixteen times what a hash costs by default: in memory, and in work.
        ("m=64", "m=311297"),
        ("m=64,t=1", "m=38912,t=17"),
        ("m=64,t=1", "m=8,t=77825"),
    ];
    let mut hashes = vec![
        String::new(),
        "password".into(),
        head.into(),
        bare.into(),
        good.replace("argon2id", "scrypt"),
        good.replace("argon2id", "argon2"),
        good.replace("v=19", "v=20"),
        good.replace("m=64", "m=1"),
        "x".repeat(1 << 16),
        format!("{good}$"),
    ];
    hashes.extend(dear.map(|(from, to)| good.replace(from, to)));
    for hash in hashes {
        let verdict = pool.verify(hash.clone(), password()).await;
        assert_eq!(verdict, Err(HashError::Malformed), "{hash}");
        assert!(pool.is_outdated(&hash), "{hash}");
    }
}

/// A pool of a higher cost pays more, and one of a lower no less than the default.
#[tokio::test]
async fn a_hash_as_dear_as_sixteen_of_the_present_ones_still_fits() {
    let cheap = Argon2Pool::new(1, 8, 1).unwrap();
    let default = Argon2Pool::default().hash(password()).await.unwrap();
    assert_eq!(cheap.verify(default, password()).await, Ok(true));
    // As another system made it: told, it is verified, and neither more memory nor more work.
    let dear =
        "$argon2id$v=19$m=8,t=100000,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let told = cheap.clone().verifying_up_to(1000, 1000);
    assert_eq!(
        cheap.verify(dear.into(), password()).await,
        Err(HashError::Malformed)
    );
    assert_eq!(told.verify(dear.into(), password()).await, Ok(false));
    for more in [("t=100000", "t=125001"), ("m=8", "m=311297")] {
        let more = dear.replace(more.0, more.1);
        assert_eq!(
            told.verify(more, password()).await,
            Err(HashError::Malformed)
        );
    }
    // However dear the pool itself is, no row asks for more than Argon2 was to have in all.
    let dearest = Argon2Pool::new(1, 4 * 1024 * 1024, 1).unwrap();
    let beyond = dear.replace("m=8,t=100000", "m=4194305,t=1");
    assert_eq!(
        dearest.verify(beyond, password()).await,
        Err(HashError::Malformed)
    );
    let many_passes = Argon2Pool::new(1, 8, 1000).unwrap();
    let hash = many_passes.hash(password()).await.unwrap();
    assert_eq!(cheap.verify(hash, password()).await, Ok(true));
}

#[tokio::test]
async fn a_hash_of_another_cost_kind_or_version_is_outdated_and_still_fits() {
    let now = Argon2Pool::new(1, 64, 2).unwrap();
    assert!(!now.is_outdated(&now.hash(password()).await.unwrap()));
    for (memory, passes) in [(32, 2), (64, 1), (128, 2)] {
        let then = Argon2Pool::new(1, memory, passes).unwrap();
        let hash = then.hash(password()).await.unwrap();
        assert!(now.is_outdated(&hash));
        assert_eq!(now.verify(hash, password()).await, Ok(true));
    }
    let hash = now.hash(password()).await.unwrap();
    assert!(now.is_outdated(&hash.replace("argon2id", "argon2i")));
    assert!(now.is_outdated(&hash.replace("v=19", "v=16")));
}

#[tokio::test]
async fn costs_that_nobody_can_pay_are_refused_and_any_number_of_threads_is_made_one_that_works() {
    for (memory, passes) in [(0, 1), (7, 1), (64, 0), (u32::MAX, 1), (64, u32::MAX)] {
        let made = Argon2Pool::new(1, memory, passes);
        assert!(matches!(made, Err(HashError::Failed)), "{memory} {passes}");
    }
    for threads in [0, usize::MAX] {
        let pool = Argon2Pool::new(threads, 8, 1).unwrap();
        pool.hash(password()).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_pool_refuses_at_once_and_admits_again_when_it_is_not() {
    let pool = Argon2Pool::new(1, 8, 1).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..17).map(|_| pool.hash(password())).collect();
    for hash in &mut waiting {
        assert!(hash.as_mut().poll(&mut context).is_pending());
    }
    assert!(free(&pool).contains("free_places: 0"));
    let full = pool.verify(String::new(), password()).await;
    assert!(matches!(full, Err(HashError::Overloaded { retry_after }) if !retry_after.is_zero()));
    for hash in waiting {
        hash.await.unwrap();
    }
    pool.hash(password()).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place_only_when_its_hash_is_done() {
    // 64 MiB: long enough to be seen under way.
    let pool = Arc::new(Argon2Pool::new(1, 65_536, 4).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut running = pool.hash(password());
    assert!(running.as_mut().poll(&mut context).is_pending());
    drop(running);
    assert!(
        free(&pool).contains("free_threads: 0, free_places: 16"),
        "{pool:?}"
    );
    // Those who only wait leave at once, and none of them runs beside it.
    for _ in 0..100 {
        let mut waiting = pool.hash(password());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(waiting);
        assert!(
            free(&pool).contains("free_threads: 0, free_places: 16"),
            "{pool:?}"
        );
    }
    while !free(&pool).contains("free_threads: 1, free_places: 17") {
        yield_now().await;
    }
}
