//! Headers that are missing, ill-formed, doubled or not signed: refused before any store is asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod common;

use common::*;
use portcullis_core::Reason;
use portcullis_hmac_signing::{Error, KeyId, Secrets, Verifier};

#[test]
fn an_unsigned_header_that_means_something_is_refused_by_name() {
    for scheme in all() {
        for name in [
            "content-encoding",
            "trailer",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
        ] {
            let mut signed = scheme.signed(order());
            set(&mut signed, name, b"DELETE");
            assert_eq!(scheme.refusal(&signed), Some(Error::HeaderRefused(name)));
            let mut unsigned = order();
            set(&mut unsigned, name, b"DELETE");
            assert_eq!(scheme.unsigned(unsigned), Some(Error::Request(name)));
        }
        // Others, which these schemes do not cover, are not in the answer at all.
        let mut signed = scheme.signed(order());
        set(&mut signed, "x-role", b"admin");
        assert_eq!(scheme.refusal(&signed), None);
    }
    // The content type says what the body is: v1 covers it.
    let mut signed = any_v1().signed(order());
    set(
        &mut signed,
        "content-type",
        b"application/x-www-form-urlencoded",
    );
    assert_eq!(any_v1().refusal(&signed), Some(Error::Signature));
}

#[test]
fn a_header_or_host_that_came_twice_is_refused_equal_or_not() {
    for scheme in all() {
        for name in COUNTED {
            let signed = scheme.signed(order());
            let first = signed.headers().get(name).cloned();
            let first = first.map_or(b"one".to_vec(), |value| value.as_bytes().to_vec());
            for second in [first.as_slice(), b"other"] {
                let mut twice = signed.clone();
                set(&mut twice, name, &first);
                add(&mut twice, name, second);
                let refused = scheme.refusal(&twice);
                assert_eq!(refused, Some(Error::Duplicate(name)), "{}", scheme.name);
            }
        }
    }
}

#[test]
fn two_values_joined_into_one_header_are_refused_where_the_scheme_reads_it() {
    let joined = |scheme: &Any, name| {
        let mut signed = scheme.signed(order());
        let both = format!("{0}, {0}", get(&signed, name));
        set(&mut signed, name, both.as_bytes());
        scheme.refusal(&signed)
    };
    for scheme in all() {
        for name in ["host", "x-signature", "x-timestamp", scheme.key_header] {
            assert!(joined(&scheme, name).is_some(), "{name} of {}", scheme.name);
        }
    }
    for name in ["x-nonce", "content-type"] {
        assert!(joined(&any_v1(), name).is_some(), "{name}");
    }
}

#[test]
fn another_host_port_or_none_is_not_what_was_signed() {
    for scheme in [any_v1(), any_lines()] {
        let signed = scheme.signed(order());
        for host in [
            "evil.example",
            "api.example.com:8443",
            "api.example.com.",
            "xapi.example.com",
        ] {
            let mut other = signed.clone();
            set(&mut other, "host", host.as_bytes());
            assert!(scheme.refusal(&other).is_some(), "{host}");
        }
        for host in [
            "",
            "a b",
            "a,api.example.com",
            "user@api.example.com",
            "api.example.com/x",
            "api.example.com#",
            "ａpi.example.com",
        ] {
            let mut other = signed.clone();
            set(&mut other, "host", host.as_bytes());
            assert_eq!(scheme.refusal(&other), Some(Error::Authority), "{host}");
        }
        let mut none = signed.clone();
        none.headers_mut().remove("host");
        assert_eq!(scheme.refusal(&none), Some(Error::Authority));
        let mut upper = signed.clone();
        set(&mut upper, "host", b"API.example.COM");
        assert_eq!(scheme.refusal(&upper), None, "a host has no case");
    }
}

#[test]
fn a_target_and_a_host_that_disagree_are_refused_and_agreeing_ones_are_one() {
    for scheme in all() {
        let mut signed = scheme.signed(request("GET", "https://api.example.com/a", b""));
        assert_eq!(scheme.refusal(&signed), None, "both agree");
        set(&mut signed, "host", b"evil.example");
        assert_eq!(
            scheme.refusal(&signed),
            Some(Error::Authority),
            "{}",
            scheme.name
        );
        signed.headers_mut().remove("host");
        assert_eq!(scheme.refusal(&signed), None, "as HTTP/2 sends it");
        *signed.uri_mut() = "https://root@api.example.com/a".parse().unwrap();
        assert_eq!(scheme.refusal(&signed), Some(Error::Authority));
    }
}

#[test]
fn a_signature_stripped_and_one_of_many_are_refused() {
    for scheme in all() {
        let mut signed = scheme.signed(order());
        let good = get(&signed, "x-signature");
        signed.headers_mut().remove("x-signature");
        let refused = scheme.refusal(&signed).unwrap();
        assert_eq!(refused, Error::Missing("x-signature"));
        assert_eq!(refused.reason(), Reason::CredentialsMissing);
        for many in [
            format!("{good},{good}"),
            format!("{good} {good}"),
            format!("{good}, x"),
            format!("x;{good}"),
        ] {
            set(&mut signed, "x-signature", many.as_bytes());
            assert_eq!(
                scheme.refusal(&signed),
                Some(Error::Malformed("x-signature")),
                "{many}"
            );
        }
        for name in ["x-timestamp", scheme.key_header] {
            let mut without = scheme.signed(order());
            without.headers_mut().remove(name);
            assert_eq!(scheme.refusal(&without), Some(Error::Missing(name)));
        }
    }
    let mut without = any_v1().signed(order());
    without.headers_mut().remove("x-nonce");
    assert_eq!(any_v1().refusal(&without), Some(Error::Missing("x-nonce")));
}

#[test]
fn another_version_algorithm_or_scheme_is_none() {
    for scheme in all() {
        let signed = scheme.signed(order());
        let good = get(&signed, "x-signature");
        let digits = &good[good.len() - 64..];
        for prefix in [
            "", "v1=", "v0=", "v2=", "V1=", "v1:", "sha1=", "sha256=", "SHA256=", "sha512=",
            "none=",
        ] {
            let value = format!("{prefix}{digits}");
            if value != good {
                let mut other = signed.clone();
                set(&mut other, "x-signature", value.as_bytes());
                assert_eq!(
                    scheme.refusal(&other),
                    Some(Error::Malformed("x-signature")),
                    "{value}"
                );
            }
        }
    }
    // The same key under another scheme: each signs bytes that the others do not.
    for (one, other) in [
        (any_v1(), "sha256="),
        (any_v1(), ""),
        (any_body(), "v1="),
        (any_body(), ""),
        (any_lines(), "v1="),
    ] {
        let signed = one.signed(order());
        let digits = get(&signed, "x-signature")
            .split('=')
            .next_back()
            .unwrap()
            .to_owned();
        let mut sent = signed;
        set(
            &mut sent,
            "x-signature",
            format!("{other}{digits}").as_bytes(),
        );
        set(&mut sent, "x-nonce", b"0123456789abcdef");
        set(&mut sent, "x-key-id", b"partner-7");
        set(&mut sent, "x-api-key", b"partner-7");
        for scheme in all() {
            assert!(scheme.refusal(&sent).is_some());
        }
    }
}

#[test]
fn a_signature_cut_empty_longer_or_with_a_bit_turned_is_refused() {
    for scheme in all() {
        let signed = scheme.signed(order());
        let good = get(&signed, "x-signature");
        let start = good.len() - 64;
        for end in start..good.len() {
            let mut cut = signed.clone();
            set(&mut cut, "x-signature", &good.as_bytes()[..end]);
            assert_eq!(
                scheme.refusal(&cut),
                Some(Error::Malformed("x-signature")),
                "{end}"
            );
            let mut turned = good.clone().into_bytes();
            turned[end] = if turned[end] == b'0' { b'1' } else { b'0' };
            set(&mut cut, "x-signature", &turned);
            assert_eq!(scheme.refusal(&cut), Some(Error::Signature));
        }
        for value in [
            "",
            "v1=",
            "sha256=",
            "v1",
            &format!("{good}00"),
            &format!("{good}0"),
            &format!(" {good}"),
            &format!("{good} "),
        ] {
            let mut other = signed.clone();
            set(&mut other, "x-signature", value.as_bytes());
            assert_eq!(
                scheme.refusal(&other),
                Some(Error::Malformed("x-signature")),
                "{value:?}"
            );
        }
    }
}

#[test]
fn upper_case_digits_odd_timestamps_and_far_futures_are_refused() {
    for scheme in all() {
        let signed = scheme.signed(order());
        let good = get(&signed, "x-signature");
        let (prefix, digits) = good.split_at(good.len() - 64);
        let mut upper = signed.clone();
        set(
            &mut upper,
            "x-signature",
            format!("{prefix}{}", digits.to_uppercase()).as_bytes(),
        );
        assert_eq!(
            scheme.refusal(&upper),
            Some(Error::Malformed("x-signature"))
        );
        for timestamp in [
            "",
            "01700000000",
            "+1700000000",
            "-1700000000",
            "1700000000.0",
            " 1700000000",
            "1700000000 ",
            "17e8",
            "0x6553f100",
            "1_700_000_000",
            "-9223372036854775808",
            "9223372036854775807",
            "18446744073709551616",
            "1000000000000",
            "１７00000000",
            "now",
        ] {
            let mut other = signed.clone();
            set(&mut other, "x-timestamp", timestamp.as_bytes());
            assert_eq!(
                scheme.refusal(&other),
                Some(Error::Malformed("x-timestamp")),
                "{timestamp:?}"
            );
        }
        for (timestamp, refusal) in [
            ("0", Error::TooOld),
            ("1699999699", Error::TooOld),
            ("1700000006", Error::Ahead),
            ("1731536000", Error::Ahead),
            ("999999999999", Error::Ahead),
            ("18446744073", Error::Ahead),
            ("18446744074", Error::Ahead),
        ] {
            let mut other = signed.clone();
            set(&mut other, "x-timestamp", timestamp.as_bytes());
            assert_eq!(scheme.refusal(&other), Some(refusal), "{timestamp}");
        }
        // However late it is, a timestamp that no instant is of is not the last instant.
        let mut other = signed.clone();
        set(&mut other, "x-timestamp", b"999999999999");
        let last = portcullis_core::Timestamp::MAX;
        assert_eq!(scheme.check_at(&other, last).err(), Some(Error::Ahead));
        // In time, and not what was signed.
        set(&mut other, "x-timestamp", b"1700000001");
        assert_eq!(scheme.refusal(&other), Some(Error::Signature));
    }
}

#[test]
fn a_timestamp_counts_to_the_end_of_its_window_and_no_longer() {
    for scheme in all() {
        let signed = scheme.signed(order());
        for now in [earlier(5), NOW, later(300)] {
            assert!(scheme.check_at(&signed, now).is_ok());
        }
        assert_eq!(
            scheme.check_at(&signed, earlier(6)).err(),
            Some(Error::Ahead)
        );
        assert_eq!(
            scheme.check_at(&signed, later(301)).err(),
            Some(Error::TooOld)
        );
    }
}

#[test]
fn key_ids_and_nonces_have_one_form() {
    let v1 = any_v1();
    let signed = v1.signed(order());
    let long = "x".repeat(65);
    for (name, values) in [
        (
            "x-nonce",
            [
                "",
                "0123456789abcde",
                "0123456789abcde=",
                "0123456789abcde ",
                "0123456789abcde.",
                "０123456789abcdef",
                &long,
            ],
        ),
        (
            "x-key-id",
            [
                "",
                " partner-7",
                "partner 7",
                "partner/7",
                "partner-7,",
                "pаrtner-7",
                &long,
            ],
        ),
    ] {
        for value in values {
            let mut other = signed.clone();
            set(&mut other, name, value.as_bytes());
            assert_eq!(
                v1.refusal(&other),
                Some(Error::Malformed(name)),
                "{value:?}"
            );
            assert!(name != "x-key-id" || KeyId::parse(value).is_err());
        }
        let mut other = signed.clone();
        set(&mut other, name, "y".repeat(64).as_bytes());
        assert_eq!(
            v1.refusal(&other),
            Some(Error::Signature),
            "covered: {name}"
        );
    }
}

#[test]
fn no_secret_and_no_signature_received_or_expected_is_in_any_text() {
    let scheme = any_v1();
    let signed = scheme.signed(order());
    let expected = get(&signed, "x-signature")[3..].to_owned();
    let mut forged = signed.clone();
    forged.body_mut().push(b'!');
    let refused = scheme.refusal(&forged).unwrap();
    let unclaimed = scheme.check(&signed).unwrap();
    let secrets = Secrets::new(key(1)).and_previous(key(2), NOW);
    let verifier = Verifier::new(v1(), policy()).unwrap();
    let begun = verifier.begin(&signed.into_parts().0, NOW).unwrap();
    let texts = [
        format!("{refused} {refused:?}"),
        format!("{unclaimed:?}"),
        format!("{secrets:?} {:?}", key(1)),
        format!("{verifier:?}"),
        format!("{begun:?}"),
    ];
    for text in texts {
        for part in [
            &expected,
            &expected[..8],
            "item",
            "page=2",
            "0102030405",
            "1, 2, 3",
        ] {
            assert!(!text.contains(part), "{text}");
        }
    }
}

const COUNTED: [&str; 7] = [
    "host",
    "x-signature",
    "x-timestamp",
    "x-nonce",
    "x-key-id",
    "x-api-key",
    "content-type",
];
