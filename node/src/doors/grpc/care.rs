//! How an instance is to be kept in sight, as its program says it.

use super::usage;
use crate::node::Context;
use micro_actors::registry::{Care, Check, Owner, Probe};
use micro_sdk::{
    proto::{HealthCheck, health_check::Kind},
    wire::Fault,
};
use std::time::Duration;

/// How long a program that registers itself may be silent, unless it says otherwise.
pub(super) const LEASE_MS_DEFAULT: u64 = 30_000;
/// From the beginning of a check to that of the next, unless it is said otherwise: what fails is noticed in a quarter
/// of a minute, and to ask costs nothing.
const INTERVAL_MS_DEFAULT: u64 = 5_000;
/// How long a check may take: loopback is quick.
const TIMEOUT_MS_DEFAULT: u64 = 1_000;
/// How many failures in a row count: one may be lost when a program is busy.
const UNHEALTHY_AFTER_DEFAULT: u32 = 3;
/// For how many intervals whose owner reports may be silent, if it says nothing of that.
const SILENT_INTERVALS: u32 = 3;

/// Reads what is said of an instance that this caller offers.
///
/// # Errors
/// If a check does not say which.
pub(super) fn read(check: Option<HealthCheck>, ttl_ms: u64, context: &Context) -> Result<Care, Fault> {
    let check = check.map(read_check).transpose()?;
    let ttl = match (ttl_ms, &check) {
        (0, Some(check)) if check.probe == Probe::Reported => {
            Some(check.interval.saturating_mul(SILENT_INTERVALS).saturating_add(check.timeout))
        }
        (0, _) => None,
        (ttl_ms, _) => Some(Duration::from_millis(ttl_ms)),
    };
    Ok(Care { check, ttl, owner: Owner::of(&context.caller) })
}

fn read_check(check: HealthCheck) -> Result<Check, Fault> {
    let HealthCheck { kind, interval_ms, timeout_ms, unhealthy_after, healthy_after } = check;
    let probe = match kind {
        Some(Kind::Tcp(_)) => Probe::Tcp,
        Some(Kind::Http(http)) => Probe::Http(http.path),
        Some(Kind::Grpc(grpc)) => Probe::Grpc { service: grpc.service, if_there: grpc.if_there },
        Some(Kind::Reported(_)) => Probe::Reported,
        None => return Err(usage("a check is one of tcp, http, grpc and reported")),
    };
    let time = |ms: u64, default| Duration::from_millis(if ms == 0 { default } else { ms });
    let count = |count: u32, default| if count == 0 { default } else { count };
    Ok(Check {
        probe,
        interval: time(interval_ms, INTERVAL_MS_DEFAULT),
        timeout: time(timeout_ms, TIMEOUT_MS_DEFAULT),
        unhealthy_after: count(unhealthy_after, UNHEALTHY_AFTER_DEFAULT),
        healthy_after: count(healthy_after, 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::{proto::health_check, wire::Caller};

    #[test]
    fn what_is_not_said_has_a_default() {
        let context = Context::of(Caller::Admin);
        let check = |kind| Some(HealthCheck { kind, ..HealthCheck::default() });
        let read_one = |kind, ttl_ms| read(check(kind), ttl_ms, &context);
        let tcp = read_one(Some(Kind::Tcp(health_check::Tcp {})), 0).expect("it is whole");
        let expected = Check {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 1,
        };
        assert_eq!(tcp, Care { check: Some(expected), ttl: None, owner: Owner::Host });
        let reported = || Some(Kind::Reported(health_check::Reported {}));
        assert_eq!(read_one(reported(), 0).expect("it is whole").ttl, Some(Duration::from_secs(16)));
        assert_eq!(read_one(reported(), 7000).expect("it is whole").ttl, Some(Duration::from_secs(7)));
        assert_eq!(read(None, 0, &context), Ok(Care::default()));
        assert!(read_one(None, 0).is_err());
    }
}
