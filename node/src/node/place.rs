//! Where a node stands: as it is said, or as at its last start. Voters are spread by it, so that it must not be lost
//! because whoever starts the node again does not say it again.

use micro_mesh::Place;
use micro_sdk::wire::{Code, Fault};
use micro_storage::FileStore;
use serde::{Deserialize, Serialize};

pub(super) const PLACE_FILE: &str = "place";

/// A place as it is kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    cloud: String,
    region: String,
    zone: String,
}

/// The place of this start, kept for the next one. What is said counts; else what was, unless it was part of another
/// cloud or region than is said now.
///
/// # Errors
/// If the disk fails, or the file is damaged.
pub(super) fn choose(said: &Place, files: &dyn FileStore) -> Result<Place, Fault> {
    let failed = |error: micro_storage::StorageError| Fault::new(Code::Failed, error.to_string());
    let last = match files.read(PLACE_FILE).map_err(failed)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?,
        None => Kept::default(),
    };
    let mut same = true;
    let mut either = |said: &str, last: &str| {
        same &= said.is_empty() || said == last;
        if said.is_empty() && same { last.to_owned() } else { said.to_owned() }
    };
    let now = Kept {
        cloud: either(&said.cloud, &last.cloud),
        region: either(&said.region, &last.region),
        zone: either(&said.zone, &last.zone),
    };
    if now != last {
        let bytes = serde_json::to_vec(&now).expect("a place has a JSON form");
        files.write(PLACE_FILE, &bytes).map_err(failed)?;
    }
    let Kept { cloud, region, zone } = now;
    Ok(Place { cloud, region, zone })
}

fn damaged(error: &serde_json::Error) -> Fault {
    Fault::new(Code::Failed, format!("the file `{PLACE_FILE}` in the data directory is damaged: {error}"))
        .help("remove the file and say the place again: --cloud, --region, --zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_said_once_is_kept() {
        let folder = tempfile::tempdir().expect("there is room");
        let files = micro_storage::disk::open(folder.path()).expect("it is empty").files;
        let place = |[cloud, region, zone]: [&str; 3]| Place {
            cloud: cloud.to_owned(),
            region: region.to_owned(),
            zone: zone.to_owned(),
        };
        for (said, now) in [
            (["", "", ""], ["", "", ""]),
            (["aws", "eu", "a"], ["aws", "eu", "a"]),
            (["", "", ""], ["aws", "eu", "a"]),
            (["aws", "", "b"], ["aws", "eu", "b"]),
            (["", "us", ""], ["aws", "us", ""]),
            (["", "", "c"], ["aws", "us", "c"]),
            (["gcp", "", ""], ["gcp", "", ""]),
            (["", "", ""], ["gcp", "", ""]),
        ] {
            assert_eq!(choose(&place(said), &*files), Ok(place(now)), "{said:?}");
        }
        files.write(PLACE_FILE, b"{").expect("the disk is well");
        let fault = choose(&place(["", "", ""]), &*files).expect_err("it is damaged");
        assert!(fault.help[0].contains("--zone"), "{fault:?}");
    }
}
