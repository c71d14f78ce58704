use super::*;
use proptest::prelude::*;

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0_u64..200).prop_map(Timestamp::from_unix_secs),
        any::<u64>().prop_map(Timestamp::from_unix_nanos),
        Just(Timestamp::MAX),
    ]
}

fn later(than: Timestamp, nanos: u64) -> Timestamp {
    than.saturating_add(std::time::Duration::from_nanos(nanos))
}

fn environment() -> impl Strategy<Value = Environment> {
    prop_oneof![Just(Environment::Live), Just(Environment::Test)]
}

fn previous() -> impl Strategy<Value = Previous> {
    (any::<[u8; 32]>(), proptest::option::of(instant()))
        .prop_map(|(digest, until)| Previous { digest, until })
}

/// Any row that a guard may have written.
pub(crate) fn row() -> impl Strategy<Value = Row> {
    let texts = ("[a-z]{1,12}", "[a-zé]([a-z ]{0,8}[a-z])?");
    let scopes = proptest::collection::btree_set("[a-z:]{1,6}", 0..=MAX_SCOPES);
    let spans = (instant(), any::<u32>(), any::<u64>(), any::<u32>());
    let marks = (
        proptest::option::of(previous()),
        proptest::option::of(instant()),
        proptest::option::of(instant()),
    );
    (
        texts,
        environment(),
        scopes,
        any::<[u8; 32]>(),
        spans,
        marks,
    )
        .prop_map(
            |(
                (owner, label),
                environment,
                scopes,
                digest,
                (created_at, made, life, rest),
                marks,
            )| {
                let made_at = later(created_at, u64::from(made));
                let expires_at = later(made_at, life);
                let (previous, last_used_at, revoked_at) = marks;
                Row {
                    owner,
                    label,
                    environment,
                    scopes: scopes.into_iter().collect(),
                    created_at,
                    ends_at: later(expires_at, u64::from(rest)),
                    digest,
                    made_at,
                    expires_at,
                    previous,
                    last_used_at,
                    revoked_at,
                }
            },
        )
}

/// Any record that a guard may have written.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        6 => row().prop_map(Record::Key),
        1 => instant().prop_map(|until| Record::Void { until }),
    ]
}

/// A row with everything in it.
pub(crate) fn good() -> Row {
    let at = Timestamp::from_unix_secs;
    Row {
        owner: "acme".into(),
        label: "import".into(),
        environment: Environment::Live,
        scopes: vec!["orders:read".into(), "orders:write".into()],
        created_at: at(10),
        ends_at: at(40),
        digest: [1; 32],
        made_at: at(20),
        expires_at: at(30),
        previous: Some(Previous {
            digest: [2; 32],
            until: Some(at(25)),
        }),
        last_used_at: Some(at(22)),
        revoked_at: Some(at(23)),
    }
}

#[test]
fn rows_that_no_guard_writes_do_not_decode() {
    let at = Timestamp::from_unix_secs;
    type Spoil = Box<dyn Fn(&mut Row)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("no owner", Box::new(|row| row.owner.clear())),
        (
            "an owner too long",
            Box::new(|row| row.owner = "x".repeat(256)),
        ),
        ("no label", Box::new(|row| row.label.clear())),
        (
            "a label that turns",
            Box::new(|row| row.label = "\u{202e}x".into()),
        ),
        (
            "a label too long",
            Box::new(|row| row.label = "x".repeat(65)),
        ),
        (
            "a scope with a space",
            Box::new(|row| row.scopes[0] = "a b".into()),
        ),
        ("an empty scope", Box::new(|row| row.scopes[0].clear())),
        ("scopes out of order", Box::new(|row| row.scopes.reverse())),
        (
            "a scope twice",
            Box::new(|row| row.scopes[0] = row.scopes[1].clone()),
        ),
        (
            "17 scopes",
            Box::new(|row| row.scopes = (b'a'..=b'q').map(|it| char::from(it).into()).collect()),
        ),
        (
            "a secret older than its key",
            Box::new(move |row| row.made_at = at(9)),
        ),
        (
            "over before it was made",
            Box::new(move |row| row.expires_at = at(19)),
        ),
        (
            "past its end for good",
            Box::new(move |row| row.expires_at = at(41)),
        ),
    ];
    assert!(Record::decode(&Record::Key(good()).encode()).is_some());
    for (what, spoil) in cases {
        let mut row = good();
        spoil(&mut row);
        assert_eq!(Record::decode(&Record::Key(row).encode()), None, "{what}");
    }
}

#[test]
fn bytes_that_are_cut_or_longer_or_of_another_format_do_not_decode() {
    for record in [
        Record::Key(good()),
        Record::Void {
            until: Timestamp::MAX,
        },
    ] {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Record::decode(&longer), None);
        for (at, value) in [(0, 0), (0, 2), (1, 0), (1, 3)] {
            let mut other = bytes.clone();
            other[at] = value;
            assert_eq!(Record::decode(&other), None, "byte {at} as {value}");
        }
    }
}

#[test]
fn a_row_at_rest_is_what_it_was_yesterday() {
    let nanos = |secs: u64| (secs * 1_000_000_000).to_be_bytes().to_vec();
    let parts = [
        [&[1, 1, 4][..], b"acme", &[6], b"import", &[1, 2, 11]].concat(),
        [&b"orders:read"[..], &[12], b"orders:write"].concat(),
        [nanos(10), nanos(40), vec![1; 32], nanos(20), nanos(30)].concat(),
        [vec![1], vec![2; 32], nanos(25)].concat(),
        [vec![1], nanos(22), vec![1], nanos(23)].concat(),
    ];
    assert_eq!(Record::Key(good()).encode(), parts.concat());
}

proptest! {
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
