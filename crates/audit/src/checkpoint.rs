//! How far a log had come, in a line that is kept elsewhere.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use portcullis_core::Secret;

use crate::keys::{Keys, LogId, Mac, Purpose};
use crate::record::Head;
use crate::{AuditError, CheckpointError};

/// How far a log had come, sealed: kept where whoever can change the log cannot, it reveals a cut
/// tail, an old copy put back, a log begun anew.
///
/// Its text is one line, `prtcp1.<log>.<records>.<head>.<seal>`: lower-case hex, and the count in
/// decimal. It holds no secret. Hand it to [`verify_against`](crate::verify_against).
///
/// ```
/// use portcullis_audit::Checkpoint;
///
/// assert!("prtcp1.00.1.00.00".parse::<Checkpoint>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    log: LogId,
    records: u64,
    head: Mac,
    seal: Mac,
}

impl Checkpoint {
    /// The log's id.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.log
    }

    /// How many records the log had.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn of(keys: &Keys, head: &Head) -> Self {
        let mut checkpoint = Self {
            log: keys.log,
            records: head.sequence,
            head: head.mac,
            seal: [0; 32],
        };
        checkpoint.seal = keys.seal(Purpose::Checkpoint, checkpoint.signed().as_bytes());
        checkpoint
    }

    /// Checks the seal under `key`.
    pub(crate) fn judge(&self, key: &Secret) -> Result<(), AuditError> {
        Keys::admit(key)?;
        let keys = Keys::derive(key, self.log);
        if !keys.seals(Purpose::Checkpoint, self.signed().as_bytes(), &self.seal) {
            return Err(CheckpointError::Forged.into());
        }
        Ok(())
    }

    /// Checks that a log of `log` with `found` records, whose head at the checkpoint was `head`, is
    /// the one that the checkpoint was made of.
    pub(crate) fn confirms(
        &self,
        log: LogId,
        found: u64,
        head: Option<Mac>,
    ) -> Result<(), CheckpointError> {
        if log != self.log {
            return Err(CheckpointError::OtherLog);
        }
        if found < self.records {
            return Err(CheckpointError::TailCut {
                checkpoint: self.records,
                found,
            });
        }
        if head != Some(self.head) {
            return Err(CheckpointError::Diverged {
                record: self.records,
            });
        }
        Ok(())
    }

    fn signed(&self) -> String {
        let head = HEXLOWER.encode(&self.head);
        format!("{PREFIX}.{}.{}.{head}", self.log, self.records)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.signed(), HEXLOWER.encode(&self.seal))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        parse(text)
            .filter(|checkpoint| checkpoint.to_string() == text)
            .ok_or(CheckpointError::Malformed)
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut parts = text.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
    let checkpoint = Checkpoint {
        log: LogId(hex(parts.next()?)?),
        records: parts.next()?.parse().ok()?,
        head: hex(parts.next()?)?,
        seal: hex(parts.next()?)?,
    };
    parts.next().is_none().then_some(checkpoint)
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

const PREFIX: &str = "prtcp1";

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Timestamp;

    fn checkpoint() -> (Secret, Checkpoint) {
        let key = Secret::from(vec![7; 32]);
        let keys = Keys::derive(&key, LogId([1; 16]));
        let head = Head {
            sequence: 12,
            mac: [2; 32],
            time: Timestamp::UNIX_EPOCH,
        };
        (key, Checkpoint::of(&keys, &head))
    }

    #[test]
    fn the_text_reads_back_and_no_other_spelling_does() {
        let (key, checkpoint) = checkpoint();
        let text = checkpoint.to_string();
        assert_eq!(text.parse(), Ok(checkpoint));
        assert_eq!(checkpoint.judge(&key), Ok(()));
        let twelve = text.replace(".12.", ".012.");
        for other in [
            String::new(),
            text.to_uppercase(),
            twelve,
            text.replace(".12.", ".+12."),
            format!("{text}."),
            format!("{text}\n"),
            format!(" {text}"),
            text.replace("prtcp1", "prtcp2"),
            text.replace(".12.", "."),
        ] {
            assert_eq!(
                other.parse::<Checkpoint>(),
                Err(CheckpointError::Malformed),
                "{other}"
            );
        }
    }

    #[test]
    fn a_changed_checkpoint_or_another_key_is_a_forgery() {
        let (key, checkpoint) = checkpoint();
        let forged = Err(AuditError::Checkpoint(CheckpointError::Forged));
        let fewer: Checkpoint = checkpoint
            .to_string()
            .replace(".12.", ".11.")
            .parse()
            .unwrap();
        assert_eq!(fewer.judge(&key), forged);
        assert_eq!(checkpoint.judge(&Secret::from(vec![8; 32])), forged);
        assert_eq!(
            checkpoint.judge(&Secret::from(vec![7; 31])),
            Err(AuditError::KeyTooShort)
        );
    }
}
