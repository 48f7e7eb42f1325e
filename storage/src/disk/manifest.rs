//! The manifest of a snapshot as a text file, for people too.
//!
//! ```text
//! micro-node snapshot 1
//! sequence 3
//! id 5-1042
//! applied 00ff12
//! file 000012.sst 1234 9abcdef0
//! end 01234567                        the crc32c of all lines above
//! ```

use crate::{Manifest, ManifestFile, StorageError};
use bytes::Bytes;
use std::{fmt::Write as _, str::FromStr};

const HEAD: &str = "micro-node snapshot 1";

/// `manifest` as text. `sequence` rises from one current snapshot to the next.
pub(super) fn to_text(manifest: &Manifest, sequence: u64) -> String {
    let mut text = format!("{HEAD}\nsequence {sequence}\nid {}\napplied ", manifest.id);
    let mut line = |args: std::fmt::Arguments<'_>| text.write_fmt(args).expect("a String takes every write");
    for byte in &manifest.applied {
        line(format_args!("{byte:02x}"));
    }
    line(format_args!("\n"));
    for file in &manifest.files {
        line(format_args!("file {} {} {:08x}\n", file.name, file.bytes, file.crc32c));
    }
    let crc = crc32c::crc32c(text.as_bytes());
    writeln!(text, "end {crc:08x}").expect("a String takes every write");
    text
}

/// The manifest and its sequence number.
///
/// # Errors
/// [`StorageError::Corrupt`] if `text` is not what was written to `what`.
pub(super) fn from_text(what: &str, text: &[u8]) -> Result<(Manifest, u64), StorageError> {
    parse(text).ok_or_else(|| StorageError::corrupt(what, "it is not the manifest that was written"))
}

fn parse(text: &[u8]) -> Option<(Manifest, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (above, crc) = text.strip_suffix('\n')?.rsplit_once("end ")?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(above.as_bytes()) {
        return None;
    }
    let mut lines = above.lines();
    if lines.next()? != HEAD {
        return None;
    }
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let sequence = u64::from_str(field("sequence")?).ok()?;
    let id = field("id")?.to_owned();
    let applied = bytes_of(field("applied")?)?;
    let files = lines.map(file).collect::<Option<Vec<_>>>()?;
    Some((Manifest { id, applied, files }, sequence))
}

fn bytes_of(hex: &str) -> Option<Bytes> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect()
}

fn file(line: &str) -> Option<ManifestFile> {
    let mut words = line.strip_prefix("file ")?.split(' ');
    let name = words.next()?.to_owned();
    let bytes = words.next()?.parse().ok()?;
    let crc32c = u32::from_str_radix(words.next()?, 16).ok()?;
    words.next().is_none().then_some(ManifestFile { name, bytes, crc32c })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_any_change_is_seen() {
        let file = |name: &str| ManifestFile { name: name.to_owned(), bytes: 12, crc32c: 0xab };
        for applied in [&b""[..], b"\x00\xff\x10"] {
            let files = vec![file("000012.sst"), file("end")];
            let manifest =
                Manifest { id: "5-10".to_owned(), applied: Bytes::copy_from_slice(applied), files };
            let text = to_text(&manifest, 3);
            assert_eq!(from_text("m", text.as_bytes()).expect("it was just written"), (manifest, 3));
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                assert!(from_text("m", &changed).is_err(), "a change at {at} was not seen");
                assert!(from_text("m", &text.as_bytes()[..at]).is_err(), "a cut at {at} was not seen");
            }
        }
    }
}
