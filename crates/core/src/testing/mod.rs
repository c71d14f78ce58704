//! Fake clock, a store that fails on command, the conformance suite and its race harness.

mod clock;
mod conformance;
mod dropping;
mod faulty;
mod race;

pub use clock::FakeClock;
pub use conformance::{Law, Violation, store_conformance};
pub use dropping::drop_at_each_await;
pub use faulty::Faulty;
pub use race::{Part, Race, Started};

/// The body of the fuzz target `sealed_secret`: bytes that nobody sealed do not open; a sealed secret opens
/// as itself, also once a newer key seals, and neither elsewhere nor once it was changed.
///
/// The first byte chooses the change, the second the place of it, the third what is put there; the rest is
/// the secret.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "sealer")]
pub fn fuzz_sealed_secret(data: &[u8]) {
    use crate::{Key, Scope, Sealer, Secret};

    let key = |byte| Secret::from(vec![byte; 32]);
    let both = Sealer::new(2, &key(8)).and_then(|sealer| sealer.and_opens(1, &key(7)));
    let (Ok(sealer), Ok(newer), Ok(idle)) =
        (Sealer::new(1, &key(7)), both, Sealer::new(1, &key(9)))
    else {
        return;
    };
    let place = Key::new(Scope::new("fuzz"), b"place");
    // Under a key that seals nothing here: the fuzzer sees what is compared below, and shows it again.
    assert!(idle.open(&place, data).is_err());
    let Some(([change, at, put], plain)) = data.split_first_chunk() else {
        return;
    };
    let sealed = sealer.seal(&place, plain, [*put; 12]);
    for (opens, is_old) in [(&sealer, false), (&newer, true)] {
        let opened = opens.open(&place, &sealed);
        assert!(opened.is_ok_and(|it| it.secret.expose() == plain && it.outdated == is_old));
    }
    let at = usize::from(*at).checked_rem(sealed.len()).unwrap_or(0);
    let (before, after) = sealed.split_at_checked(at).unwrap_or((&sealed, &[]));
    let another = sealer.seal(&place, plain, [put.wrapping_add(1); 12]);
    let elsewhere = Key::new(Scope::new("fuzz"), before);
    let changed = match change % 6 {
        0 => [before, &[*put], after.get(1..).unwrap_or_default()].concat(),
        1 => before.to_vec(),
        2 => [before, &[*put], after].concat(),
        // One's beginning and another's end.
        3 => [before, another.get(at..).unwrap_or_default()].concat(),
        4 => newer.seal(&place, plain, [*put; 12]),
        _ => sealer.seal(&elsewhere, plain, [*put; 12]),
    };
    let is_known = changed == sealed || changed == another;
    assert_eq!(sealer.open(&place, &changed).is_ok(), is_known);
    assert!(sealer.open(&elsewhere, &sealed).is_err());
}

/// The body of the fuzz target `index_page`: a stored page that decodes encodes to the same bytes.
///
/// # Panics
/// When it does not.
pub fn fuzz_index_page(data: &[u8]) {
    crate::index::fuzz_page(data);
}
