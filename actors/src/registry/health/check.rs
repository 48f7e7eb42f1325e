//! A check as its owner wants it.

use http::uri::PathAndQuery;
use micro_sdk::wire::{Code, Fault};
use std::{ops::RangeInclusive, time::Duration};

/// How often a check may be made: more often, and it would be load; less often, and nobody needs it.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How long a check may take.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// How many results in a row may be asked for.
const THRESHOLDS: RangeInclusive<u32> = 1..=100;
/// The longest path, and the longest name of a service of gRPC.
const TEXT_BYTES_MAX: usize = 1024;

/// What is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A TCP connection can be made.
    Tcp,
    /// `GET` of this path is answered with a status from 200 to 399.
    Http(String),
    /// `grpc.health.v1.Health/Check` says that it serves.
    Grpc {
        /// Which service of gRPC it is asked for; empty for the server as a whole.
        service: String,
        /// Whether for a server that does not know the question a TCP connection is enough.
        if_there: bool,
    },
    /// Its owner reports.
    Reported,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is found out.
    pub probe: Probe,
    /// From the beginning of one to that of the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How many failures in a row make an instance failing.
    pub unhealthy_after: u32,
    /// How many successes in a row make it passing.
    pub healthy_after: u32,
}

impl Check {
    pub(super) fn refuse(&self) -> Result<(), Fault> {
        let refused = |why: String| Err(Fault::new(Code::Usage, why));
        for (what, time, bounds) in
            [("interval", self.interval, INTERVALS), ("timeout", self.timeout, TIMEOUTS)]
        {
            if !bounds.contains(&time) {
                let (least, most) = bounds.into_inner();
                return refused(format!("a check has an {what} of {least:?} to {most:?}, not of {time:?}"));
            }
        }
        for count in [self.unhealthy_after, self.healthy_after] {
            if !THRESHOLDS.contains(&count) {
                return refused(format!("a check takes 1 to 100 results in a row, not {count}"));
            }
        }
        match &self.probe {
            Probe::Http(path)
                if !path.starts_with('/')
                    || path.len() > TEXT_BYTES_MAX
                    || path.parse::<PathAndQuery>().is_err() =>
            {
                refused(format!("the path of a check begins with a slash, and {path:?} can't be one"))
            }
            Probe::Grpc { service, .. } if service.len() > TEXT_BYTES_MAX => {
                refused(format!("the name of a service of gRPC has at most {TEXT_BYTES_MAX} bytes"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_have_bounds() {
        let check = |probe, interval_ms, timeout_ms, count| Check {
            probe,
            interval: Duration::from_millis(interval_ms),
            timeout: Duration::from_millis(timeout_ms),
            unhealthy_after: count,
            healthy_after: 1,
        };
        let path = |text: &str| Probe::Http(text.to_owned());
        for good in [
            check(Probe::Tcp, 5000, 1000, 3),
            check(path("/health?deep=1"), 100, 10, 1),
            check(Probe::Reported, 3_600_000, 60_000, 100),
        ] {
            assert_eq!(good.refuse(), Ok(()));
        }
        for bad in [
            check(Probe::Tcp, 99, 1000, 3),
            check(Probe::Tcp, 5000, 9, 3),
            check(Probe::Tcp, 5000, 60_001, 3),
            check(Probe::Tcp, 5000, 1000, 0),
            check(path("health"), 5000, 1000, 3),
            check(path("/a b"), 5000, 1000, 3),
            check(path(&format!("/{}", "a".repeat(1024))), 5000, 1000, 3),
        ] {
            assert_eq!(bad.refuse().map_err(|fault| fault.code), Err(Code::Usage), "{bad:?}");
        }
    }
}
