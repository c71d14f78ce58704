#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0_u64..200).prop_map(Timestamp::from_unix_secs),
        any::<u64>().prop_map(Timestamp::from_unix_nanos),
    ]
}

fn revocation() -> impl Strategy<Value = Revocation> {
    (1_u8..=6).prop_map(|code| Revocation::from_code(code).unwrap())
}

fn factors() -> impl Strategy<Value = Vec<Factor>> {
    let methods: Vec<u8> = (1..=8).collect();
    (
        proptest::sample::subsequence(methods, 1..=8),
        proptest::collection::vec(instant(), 8),
    )
        .prop_map(|(methods, instants)| {
            methods
                .into_iter()
                .zip(instants)
                .map(|(code, at)| Factor::new(Method::from_code(code).unwrap(), at))
                .collect()
        })
}

/// Any row that a guard may have written.
pub(crate) fn row() -> impl Strategy<Value = Row> {
    let spans = (instant(), any::<u32>(), any::<u32>(), any::<u32>());
    let marks = (0_u64..4, 0_u8..=2, any::<u64>());
    let revoked = proptest::option::of((revocation(), instant()));
    (
        "[a-z]{1,12}",
        any::<[u8; 16]>(),
        spans,
        marks,
        factors(),
        revoked,
    )
        .prop_map(
            |(
                user,
                nonce,
                (created, life, idle, rotated),
                (counter, repeats, epoch),
                factors,
                revoked,
            )| {
                let after = |secs: u32| {
                    created.saturating_add(std::time::Duration::from_secs(u64::from(secs) % 300))
                };
                let absolute = after(life);
                Row {
                    user,
                    nonce,
                    created,
                    absolute,
                    idle: after(idle).min(absolute),
                    rotated: after(rotated),
                    counter,
                    repeats: if counter == 0 { 0 } else { repeats },
                    epoch,
                    factors,
                    revoked,
                }
            },
        )
}

/// Any record that a guard may have written.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        4 => row().prop_map(Record::Session),
        1 => (revocation(), instant()).prop_map(|(why, until)| Record::Void { why, until }),
    ]
}

fn good() -> Row {
    Row {
        user: "alice".into(),
        nonce: [1; 16],
        created: Timestamp::from_unix_secs(10),
        absolute: Timestamp::from_unix_secs(30),
        idle: Timestamp::from_unix_secs(20),
        rotated: Timestamp::from_unix_secs(11),
        counter: 1,
        repeats: 2,
        epoch: 0,
        factors: vec![Factor::new(Method::Password, Timestamp::from_unix_secs(10))],
        revoked: None,
    }
}

#[test]
fn rows_that_no_guard_writes_do_not_decode() {
    let password = good().factors[0];
    let at = Timestamp::from_unix_secs;
    type Spoil = Box<dyn Fn(&mut Row)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("no user", Box::new(|row| row.user.clear())),
        (
            "a user too long",
            Box::new(|row| row.user = "x".repeat(256)),
        ),
        (
            "idle after absolute",
            Box::new(move |row| row.idle = at(31)),
        ),
        (
            "rotated before created",
            Box::new(move |row| row.rotated = at(9)),
        ),
        ("too many repeats", Box::new(|row| row.repeats = 3)),
        (
            "a parent of the first token",
            Box::new(|row| row.counter = 0),
        ),
        ("no factor", Box::new(|row| row.factors.clear())),
        (
            "a method twice",
            Box::new(move |row| row.factors.push(password)),
        ),
    ];
    for (what, spoil) in cases {
        let mut row = good();
        spoil(&mut row);
        assert_eq!(
            Record::decode(&Record::Session(row).encode()),
            None,
            "{what}"
        );
    }
}

#[test]
fn bytes_that_are_cut_or_longer_or_of_another_format_do_not_decode() {
    let bytes = Record::Session(good()).encode();
    assert!(Record::decode(&bytes).is_some());
    for cut in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Record::decode(&longer), None);
    for (at, value) in [(0, 2), (1, 0), (1, 3), (2, 255), (3, 0xff)] {
        let mut other = bytes.clone();
        other[at] = value;
        assert_eq!(Record::decode(&other), None, "byte {at} as {value}");
    }
}

proptest! {
    #[test]
    fn the_room_for_a_row_is_made_once(mut row in row()) {
        row.revoked = Some((Revocation::SignedOut, row.created));
        let factors = 9 * row.factors.len();
        prop_assert_eq!(row.encode().len(), FIXED_LEN + row.user.len() + factors);
    }

    #[test]
    fn what_is_written_is_read_back(record in record()) {
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        record in record(), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = record.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate(cut.index(bytes.len().saturating_mul(4)).saturating_add(1));
        if let Some(read) = Record::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
