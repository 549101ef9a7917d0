//! A cluster's folder outside of ours, for when Postgres's account may not pass through what is above ours.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::{account::cannot, process::Note};
use crate::{
    config::Secret,
    error::{Error, Kind, Result},
};

const PREFIX: &str = "rowcast-";
/// The file that names the folder which a cluster belongs to, and the word that ties it to its present life.
const OWNER: &str = "belongs-to";

/// Makes the folder, or finds the one of last time.
pub(super) fn make(parent: &Path, ours: &Path, salt: &Secret) -> Result<PathBuf> {
    let key = key(ours, salt.reveal());
    let place = parent.join(format!("{PREFIX}{key}"));
    match fs::DirBuilder::new().mode(0o755).create(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(cannot("create", &place, error));
        }
        _ => {}
    }
    // Anybody may create folders there: only one of ours is good.
    if !is_ours(&place) {
        let place = place.display();
        let message = format!("{place} belongs to somebody else; choose another --data-dir");
        return Err(Error::new(Kind::Forbidden, message));
    }
    let note = place.join(OWNER);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
        .and_then(|()| fs::write(&note, ours.as_os_str().as_encoded_bytes()))
        .map_err(|error| cannot("write", &note, error))?;
    Ok(place)
}

/// Removes the folders whose owners were removed, and that nobody runs in.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let place = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !named || !is_ours(&place) || Note::of_running(&place.join("postgres")).is_some() {
            continue;
        }
        let Ok(owner) = fs::read_to_string(place.join(OWNER)) else { continue };
        let word = fs::read_to_string(Path::new(&owner).join("superuser-password"));
        let expected = word.map(|word| format!("{PREFIX}{}", key(Path::new(&owner), word.trim())));
        if !expected.is_ok_and(|expected| entry.file_name() == *expected) {
            let _ = fs::remove_dir_all(&place);
        }
    }
}

fn key(ours: &Path, salt: &str) -> String {
    let hash = Sha256::new()
        .chain_update(ours.as_os_str().as_encoded_bytes())
        .chain_update(salt)
        .finalize();
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn is_ours(place: &Path) -> bool {
    fs::symlink_metadata(place)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}
