//! Secrets kept in files that only we can read.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::account::cannot;
use crate::{config::Secret, error::Result};

/// Reads the secret of a file, or makes one of 256 random bits and keeps it there.
pub fn keep_secret(file: &Path) -> Result<Secret> {
    match fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(cannot("read", file, error));
        }
        _ => {}
    }
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    // Whole or not at all: a half-written secret would lock us out of the cluster.
    let new = file.with_extension("new");
    write(&new, &secret)?;
    fs::rename(&new, file).map_err(|error| cannot("write", file, error))?;
    Ok(Secret::new(secret))
}

/// Writes a file that only its owner can read.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let _ = fs::remove_file(file);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| cannot("write", file, error))
}
