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

/// The body of the fuzz target `sealed_secret`: bytes that nobody sealed do not open, and a sealed secret
/// opens as itself and not once any of its bytes has changed.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "sealer")]
pub fn fuzz_sealed_secret(data: &[u8]) {
    use crate::{Key, Scope, Sealer, Secret};

    let key = Secret::from(vec![7; Sealer::KEY_LEN]);
    let Ok(sealer) = Sealer::new(1, &key) else {
        return;
    };
    let place = Key::new(Scope::new("fuzz"), b"place");
    assert!(sealer.open(&place, data).is_err());
    let mut sealed = sealer.seal(&place, data, [9; 12]);
    let opened = sealer.open(&place, &sealed);
    assert!(opened.is_ok_and(|opened| opened.secret.expose() == data && !opened.outdated));
    let at = data.first().map_or(0, |byte| usize::from(*byte));
    let at = at.checked_rem(sealed.len()).unwrap_or(0);
    if let Some(byte) = sealed.get_mut(at) {
        *byte ^= 1;
    }
    assert!(sealer.open(&place, &sealed).is_err());
}

/// The body of the fuzz target `index_page`: a stored page that decodes encodes to the same bytes.
///
/// # Panics
/// When it does not.
pub fn fuzz_index_page(data: &[u8]) {
    crate::index::fuzz_page(data);
}
