//! The fuzz targets are the libraries'; this program has none, so its records are changed here.

use std::fmt::Debug;

use portcullis::core::Memory;
use proptest::prelude::*;

use super::*;
use crate::clients::Client;
use crate::clients::public_key::PublicKey;
use crate::clients::secret::SigningSecret;
use crate::users::User;

/// What every record here must do with bytes, whatever they are: whether they decode, which is to a value
/// that is written and read as itself.
fn reads<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(record) = decode::<T>(bytes) else {
        return false;
    };
    let written = encode(&record).unwrap();
    assert_eq!(decode::<T>(&written).unwrap(), record);
    assert_eq!(encode(&decode::<T>(&written).unwrap()).unwrap(), written);
    true
}

/// A kind of record: as it is written, and how it is read.
type Kind = (&'static str, fn(&[u8]) -> bool);

const KINDS: [Kind; 4] = [
    (
        r#"{"id":"orders","tier":"premium","networks":["192.0.2.0/24","2001:db8::/32"],"enabled":true,"created_at":1700000000000000000}"#,
        reads::<Client>,
    ),
    (
        r#"{"id":"sk-abcdefgh23456723","client":"orders","form":"timestamp_body","label":"hooks","current":{"sealed":"AQAAAAE","made_at":7},"previous":{"secret":{"sealed":"AQAAAAI","made_at":6},"until":9},"revoked_at":null}"#,
        reads::<SigningSecret>,
    ),
    (
        r#"{"issuer":"hooks@example.org","client":"orders","label":"","current":{"pem":"-----BEGIN PUBLIC KEY-----\n","fingerprint":"00ff","made_at":7},"previous":{"pem":"","until":9},"revoked_at":8,"spent":["00fe"]}"#,
        reads::<PublicKey>,
    ),
    (
        r#"{"name":"alice","email":"alice@example.org","role":"admin","password_hash":"$argon2id$","enabled":true,"must_change_password":false,"epoch":3,"created_at":7}"#,
        reads::<User>,
    ),
];

fn record(json: &str) -> Vec<u8> {
    [&[VERSION], json.as_bytes()].concat()
}

#[test]
fn a_record_is_read_from_what_was_written_and_no_kind_from_anothers() {
    for (at, (json, _)) in KINDS.iter().enumerate() {
        for (of, (_, reads)) in KINDS.iter().enumerate() {
            assert_eq!(reads(&record(json)), at == of, "{json}");
        }
    }
}

#[test]
fn a_record_cut_short_or_of_another_version_or_with_more_behind_it_is_none() {
    for (json, reads) in KINDS {
        let whole = record(json);
        for end in 0..whole.len() {
            assert!(!reads(&whole[..end]), "{json} up to {end}");
        }
        assert!(!reads(&[&whole[..], b"{}"].concat()));
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            assert!(!reads(&[&[version], json.as_bytes()].concat()));
        }
    }
}

#[test]
fn a_member_that_is_not_known_or_comes_twice_is_refused() {
    for (json, reads) in KINDS {
        let more = json.replacen('{', r#"{"admin":true,"#, 1);
        assert!(!reads(&record(&more)), "{more}");
        let (first, _) = json[1..].split_once(',').unwrap();
        let twice = json.replacen('{', &format!("{{{first},"), 1);
        assert!(!reads(&record(&twice)), "{twice}");
    }
}

/// The record is not there while its id is held, and nobody else makes one meanwhile.
#[tokio::test]
async fn a_held_id_is_its_holders_alone_for_a_minute_whatever_the_clock_was() {
    let now = Timestamp::from_unix_secs(1_700_000_000);
    let after = |secs| now.saturating_add(Duration::from_secs(secs));
    let records: Records<String> =
        Records::new(AnyStore::new(Memory::new(now)), Scope::new("held"), "None.");
    let (first, second) = ("first".to_owned(), "second".to_owned());
    records.create("id", &first, now).await.unwrap();
    let taken = records.hold("id", now, |_| Err(RecordError::Taken)).await;
    assert!(matches!(taken, Err(RecordError::Taken)));
    let hold = records.hold("id", now, |_| Ok(())).await.unwrap();
    assert_eq!(records.get("id", now).await, Ok(None));
    let changed = records.change("id", now, |_| Ok(())).await;
    assert_eq!(changed, Err(RecordError::Unknown("None.")));
    for at in [now, after(59)] {
        let again = records.hold("id", at, |_| Ok(())).await;
        assert!(matches!(again, Err(RecordError::Conflict(_))));
    }
    let of_another = Hold::new(now).unwrap();
    let filled = records.fill("id", of_another, &second, now).await;
    assert_eq!(filled, Err(RecordError::Changed));
    records.release("id", of_another, now).await.unwrap();
    records.fill("id", hold, &second, now).await.unwrap();
    assert_eq!(records.get("id", now).await, Ok(Some(second)));
    records.release("id", hold, now).await.unwrap();
    assert!(records.get("id", now).await.unwrap().is_some());

    // One that is over, and one that a clock made which ran a year ahead.
    let lapsed = records.hold("id", now, |_| Ok(())).await.unwrap();
    records.hold("id", after(60), |_| Ok(())).await.unwrap();
    let late = records.fill("id", lapsed, &first, after(60)).await;
    assert_eq!(late, Err(RecordError::Changed));
    records
        .hold("id", after(365 * 24 * 3600), |_| Ok(()))
        .await
        .unwrap();
    assert!(records.hold("id", now, |_| Ok(())).await.is_ok());
}

proptest! {
    /// JSON has more than one spelling of a value, so the bytes may differ; the value may not.
    #[test]
    fn a_record_that_was_changed_is_refused_or_read_as_a_record(
        kind in 0..KINDS.len(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>(), 0..4), 1..4),
    ) {
        let (json, reads) = KINDS[kind];
        let mut bytes = record(json);
        for (at, put, how) in changes {
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = put,
                1 => bytes[at] ^= 1 << (put % 8),
                2 => bytes.insert(at, put),
                _ => drop(bytes.remove(at)),
            }
        }
        reads(&bytes);
    }
}
