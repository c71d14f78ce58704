//! The bodies of this crate's fuzz targets.

use portcullis_core::Secret;

use crate::cookie::form::csrf_field;
use crate::cookie::token::{Keyed, Presented};

/// The body of `cookie_value`: bytes that parse are spelled in the one way their parts are, and are
/// somebody's only if the tag says so.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_cookie_value(data: &[u8]) {
    let Some(keyed) = Keyed::new(&Secret::from(vec![7; 32])) else {
        return;
    };
    let known = keyed.holder(data);
    let Some(presented) = Presented::parse(data) else {
        assert!(known.is_none());
        return;
    };
    assert_eq!(presented.text().as_bytes(), data);
    let made = keyed.cookie(presented.holder).as_bytes() == data;
    assert_eq!(known.is_some(), made);
}

/// The body of `csrf_form`: a form has one token or none, and a second one, before or behind, takes the
/// first one's word away.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_csrf_form(data: &[u8]) {
    let found = csrf_field(data);
    let before = csrf_field(&[b"csrf_token=x&", data].concat());
    let behind = csrf_field(&[data, b"&csrf_token=x"].concat());
    assert_eq!(before, behind);
    assert!(found.is_none() || before.is_none());
    assert!(before.is_none_or(|value| value == b"x"));
}
