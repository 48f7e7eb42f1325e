//! Hosts in three clouds, as far from each other as those that people use.

use crate::machine::{Machine, Seat, Shared};
use std::time::Duration;

/// The clouds: on the east coast of America, in the west of Europe, in the south-east of Asia.
const NAMES: [&str; 3] = ["america", "europe", "asia"];
/// Round trips between hosts of two clouds, in milliseconds: those between AWS's us-east-1, eu-west-1 and
/// ap-southeast-1, rounded from the medians of a year at cloudping.co. Within a cloud, that between two zones, and a
/// tick of turmoil's.
const ROUND_TRIPS_MS: [[u64; 3]; 3] = [[4, 68, 220], [68, 4, 176], [220, 176, 4]];

/// The cloud of a host.
pub(crate) fn cloud(seat: Seat) -> usize {
    seat.0 % NAMES.len()
}

/// The cloud of the host that a client asks, by the client's name, which begins with that of the host.
pub(crate) fn of_client(client: &str) -> Option<&'static str> {
    let host = client.split('.').next()?.strip_prefix('n')?;
    let number: usize = host.parse().ok()?;
    Some(NAMES[cloud(Seat(number.checked_sub(1)?))])
}

/// The place of a host among all.
fn seat(shared: &Shared, machine: &Machine) -> Option<usize> {
    shared.machines.iter().position(|other| std::ptr::eq(other, machine))
}

/// Whether a host is one that other clouds go over.
pub(crate) fn is_gateway(shared: &Shared, machine: &Machine) -> bool {
    seat(shared, machine).is_some_and(|seat| shared.options.gateways.contains(&(seat + 1)))
}

/// What the cloud of a host is called.
pub(crate) fn name(shared: &Shared, machine: &Machine) -> String {
    match seat(shared, machine).filter(|_| shared.options.clouds) {
        Some(seat) => NAMES[cloud(Seat(seat))].to_owned(),
        None => "simulated".to_owned(),
    }
}

/// How long a message takes from one host to another.
pub(crate) fn latency(one: Seat, other: Seat) -> Duration {
    Duration::from_millis(ROUND_TRIPS_MS[cloud(one)][cloud(other)]) / 2
}
