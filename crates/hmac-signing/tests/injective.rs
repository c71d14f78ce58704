//! Different fields never encode alike: shown by reading a million encodings back.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::thread;

use common::Numbers;
use portcullis_hmac_signing::v1::{self, Fields};

const THREADS: u64 = 4;
const EACH: usize = 250_000;

/// What contents are made of: all that a boundary is made of, too.
const PIECES: &[&[u8]] = &[
    b"\n",
    b":",
    b"0",
    b"1",
    b"2:",
    b"1:\n",
    b"0:\n0:\n",
    b"\n3:GET\n",
    b"portcullis-hmac-v1\n",
    b"10:1700000000\n",
    b"a",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"?a=b&c",
    b"/%0A",
    b"01:",
    b"+1:",
    b"18446744073709551616:",
    b"64:e3b0c44298fc1c149afbf4c8996fb924",
];

fn drawn(numbers: &mut Numbers) -> [Vec<u8>; 10] {
    std::array::from_fn(|_| {
        let pieces = numbers.below(4);
        let pieces = (0..pieces).map(|_| PIECES[numbers.below(PIECES.len())]);
        pieces.collect::<Vec<_>>().concat()
    })
}

fn fields(contents: &[Vec<u8>; 10]) -> Fields<'_> {
    let [
        audience,
        method,
        authority,
        path,
        query,
        content_type,
        body_digest,
        timestamp,
        nonce,
        key_id,
    ] = contents;
    Fields {
        audience,
        method,
        authority,
        path,
        query,
        content_type,
        body_digest,
        timestamp,
        nonce,
        key_id,
    }
}

fn on_every_thread(test: impl Fn(u64) + Copy + Send) {
    thread::scope(|scope| {
        for seed in 0..THREADS {
            scope.spawn(move || test(seed));
        }
    });
}

#[test]
fn a_million_tuples_are_read_back_as_they_were() {
    on_every_thread(|seed| {
        let mut numbers = Numbers(seed);
        for _ in 0..EACH {
            let contents = drawn(&mut numbers);
            let written = fields(&contents);
            let bytes = v1::encode(&written);
            assert_eq!(v1::decode(&bytes), Ok(written), "{contents:?}");
        }
    });
}

#[test]
fn bytes_moved_over_any_boundary_encode_otherwise() {
    on_every_thread(|seed| {
        let mut numbers = Numbers(seed + 100);
        for _ in 0..EACH / 10 {
            let one = drawn(&mut numbers);
            let mut other = one.clone();
            // One field's end becomes its neighbour's beginning.
            let at = numbers.below(9);
            let from = numbers.below(one[at].len() + 1);
            let mut moved = other[at].split_off(from);
            moved.extend_from_slice(&other[at + 1]);
            other[at + 1] = moved;
            let alike = v1::encode(&fields(&one)) == v1::encode(&fields(&other));
            assert_eq!(alike, one == other, "{one:?} and {other:?}");
        }
    });
}

#[test]
fn what_is_not_an_encoding_to_the_byte_does_not_decode() {
    let contents = drawn(&mut Numbers(7));
    let bytes = v1::encode(&fields(&contents));
    for end in 0..bytes.len() {
        assert!(v1::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    let text = "portcullis-hmac-v1\n1:a\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n";
    assert!(v1::decode(text.as_bytes()).is_ok());
    for (part, other) in [
        ("-v1\n", "-v2\n"),
        ("-v1\n", "-v1\r\n"),
        ("1:a", "01:a"),
        ("1:a", "+1:a"),
        ("1:a", " 1:a"),
        ("1:a", "1 :a"),
        ("1:a", "2:a"),
        ("1:a", "0:a"),
        ("1:a", ":a"),
        ("1:a", "1a"),
        ("1:a", "18446744073709551616:a"),
        ("1:a", "18446744073709551615:a"),
        ("0:\n0:\n", "0:\n"),
        ("0:\n0:\n", "0:\n0:\n0:\n"),
    ] {
        let broken = text.replacen(part, other, 1);
        assert!(v1::decode(broken.as_bytes()).is_err(), "{broken:?}");
    }
    assert!(v1::decode(format!("{text} ").as_bytes()).is_err());
}
