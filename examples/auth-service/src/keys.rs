//! The root key and the keys made from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use portcullis::core::{EntropyUnavailable, Secret, entropy};
use sha2::Sha256;

/// 32 random bytes that every other key is made from.
#[derive(Debug)]
pub(crate) struct RootKey(Secret);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// There is data, and the key that protects it is gone.
    #[error(
        "{data} was made with a root key that is not at {file}: put the file back, or name it with --root-key",
        data = data.display(), file = file.display()
    )]
    Missing {
        /// The data folder.
        data: PathBuf,
        /// Where the key was looked for.
        file: PathBuf,
    },
    /// The key would lie among the data it protects.
    #[error("{} lies inside the data folder: a copy of the data would be a copy of the key", .0.display())]
    Inside(PathBuf),
    /// The file is there and holds something else.
    #[error("{} does not hold a root key: 64 hexadecimal digits and a line end", .0.display())]
    Malformed(PathBuf),
    /// The file can be read by others than its owner.
    #[error("{} can be read by others: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// The system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The file could not be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RootKey {
    /// Reads the key, or makes it where there is neither key nor data. Says whether it was made.
    pub(crate) fn open_or_make(
        file: &Path,
        data: &Path,
        data_exists: bool,
    ) -> Result<(Self, bool), KeyError> {
        let failed = |source| KeyError::File {
            file: file.to_path_buf(),
            source,
        };
        let whole = |path| std::path::absolute(path).map_err(failed);
        if whole(file)?.starts_with(whole(data)?) {
            return Err(KeyError::Inside(file.to_path_buf()));
        }
        match fs::read(file) {
            Ok(text) => Ok((Self::read(text, file)?, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && data_exists => {
                Err(KeyError::Missing {
                    data: data.to_path_buf(),
                    file: file.to_path_buf(),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Secret::generate::<32>()?;
                if write_new(file, &key)? {
                    return Ok((Self(key), true));
                }
                let text = fs::read(file).map_err(failed)?;
                Ok((Self::read(text, file)?, false))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn read(text: Vec<u8>, file: &Path) -> Result<Self, KeyError> {
        refuse_exposed(file)?;
        Self::parse(&Secret::from(text), file)
    }

    fn parse(text: &Secret, file: &Path) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(file.to_path_buf());
        let digits = text.expose().trim_ascii_end();
        let bytes = HEXLOWER.decode(digits).map_err(|_| malformed())?;
        if bytes.len() != 32 {
            return Err(malformed());
        }
        Ok(Self(Secret::from(bytes)))
    }

    /// The key for one purpose: HMAC-SHA256 of the purpose's name under the root key. Knowing one
    /// tells nothing of another.
    pub(crate) fn derive(&self, purpose: &str) -> Secret {
        // HMAC takes a key of any length; the branch is for the signature's sake.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose()) else {
            return Secret::from(Vec::new());
        };
        mac.update(b"portcullis auth-service key 1:");
        mac.update(purpose.as_bytes());
        Secret::from(mac.finalize().into_bytes().as_slice())
    }
}

/// Creates the file for its owner alone and syncs it before anything is made with the key. It takes its name
/// whole: a start that is killed here leaves a file of another name, and the next one begins anew. Whether no
/// other start was there first.
fn write_new(file: &Path, key: &Secret) -> Result<bool, KeyError> {
    let failed = |source| KeyError::File {
        file: file.to_path_buf(),
        source,
    };
    let temporary = unnamed(file, entropy()?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let named = options.open(&temporary).and_then(|mut opened| {
        opened.write_all(HEXLOWER.encode(key.expose()).as_bytes())?;
        opened.write_all(b"\n")?;
        opened.sync_all()?;
        // Unlike a renaming it refuses a name that is taken.
        fs::hard_link(&temporary, file)
    });
    let removed = fs::remove_file(&temporary);
    match named {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && file.exists() => {
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    }
    removed.map_err(failed)?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    folder.sync_all().map_err(failed)?;
    Ok(true)
}

/// Where the key lies until it is whole: in the same folder, under a name that no other start has.
fn unnamed(file: &Path, random: [u8; 8]) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", HEXLOWER.encode(&random)));
    PathBuf::from(name)
}

/// Refuses a file that others than its owner can read.
#[cfg(unix)]
pub(crate) fn refuse_exposed(file: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(file).map_err(|source| KeyError::File {
        file: file.to_path_buf(),
        source,
    })?;
    if metadata.permissions().mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyError::Exposed(file.into()))
    }
}

#[cfg(not(unix))]
pub(crate) fn refuse_exposed(_file: &Path) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.key");
        (folder, file)
    }

    #[test]
    fn the_key_is_made_once_and_read_back_after() {
        let (folder, file) = place();
        let (made, new) = RootKey::open_or_make(&file, &folder.path().join("data"), false).unwrap();
        let (read, again) =
            RootKey::open_or_make(&file, &folder.path().join("data"), true).unwrap();
        assert!(new && !again);
        assert_eq!(made.derive("tokens"), read.derive("tokens"));
        assert_ne!(made.derive("tokens"), made.derive("sessions"));
    }

    #[test]
    fn a_key_inside_the_data_folder_is_refused_and_not_made() {
        let (folder, _) = place();
        let file = folder.path().join("data/root.key");
        let refused = RootKey::open_or_make(&file, &folder.path().join("data"), false);
        assert!(matches!(refused, Err(KeyError::Inside(_))), "{refused:?}");
        assert!(!file.exists());
    }

    #[test]
    fn data_without_its_key_is_refused_and_no_key_is_made() {
        let (folder, file) = place();
        let refused = RootKey::open_or_make(&file, &folder.path().join("data"), true);
        assert!(matches!(refused, Err(KeyError::Missing { .. })));
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_left_alone() {
        let (folder, file) = place();
        for text in [
            "",
            "abc\n",
            &"a".repeat(63),
            &"g".repeat(64),
            &"A".repeat(64),
            &"a".repeat(66),
        ] {
            let _ = fs::remove_file(&file);
            fs::write(&file, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            let refused = RootKey::open_or_make(&file, &folder.path().join("data"), false);
            assert!(matches!(refused, Err(KeyError::Malformed(_))), "{text:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), *text);
        }
    }

    /// What a start leaves that was killed before its key had its name.
    #[test]
    fn what_a_killed_start_left_is_no_key_and_in_nobodys_way() {
        for left in ["", "0123", &format!("{}\n", "b".repeat(64))] {
            let (folder, file) = place();
            let data = folder.path().join("data");
            let temporary = unnamed(&file, [7; 8]);
            fs::write(&temporary, left).unwrap();
            let (made, new) = RootKey::open_or_make(&file, &data, false).unwrap();
            let (read, again) = RootKey::open_or_make(&file, &data, true).unwrap();
            assert!(new && !again, "{left}");
            assert_eq!(made.derive("tokens"), read.derive("tokens"));
            assert_ne!(fs::read_to_string(&file).unwrap(), *left);
            assert_eq!(fs::read_to_string(&temporary).unwrap(), *left);
            // Its own temporary name is gone.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn of_starts_at_once_one_makes_the_key_and_all_have_it_whole() {
        for _ in 0..50 {
            let (folder, file) = place();
            let data = folder.path().join("data");
            let together = std::sync::Barrier::new(4);
            let started = std::thread::scope(|scope| {
                let start = || {
                    together.wait();
                    RootKey::open_or_make(&file, &data, false)
                };
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                let ended = starts.into_iter().map(|start| start.join().unwrap());
                ended.collect::<Vec<_>>()
            });
            let keys: Vec<_> = started.into_iter().map(Result::unwrap).collect();
            assert_eq!(keys.iter().filter(|(_, made)| *made).count(), 1);
            let (first, _) = &keys[0];
            for (key, _) in &keys {
                assert_eq!(key.derive("tokens"), first.derive("tokens"));
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (folder, file) = place();
        RootKey::open_or_make(&file, &folder.path().join("data"), false).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let refused = RootKey::open_or_make(&file, &folder.path().join("data"), true);
        assert!(matches!(refused, Err(KeyError::Exposed(_))));
    }
}
