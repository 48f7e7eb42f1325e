//! Quantities as people write and read them.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, SystemTime};

/// What `d` stands for.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads a duration: `10s`, `500ms`, `1m30s`, `1 hour`, `7d`. A day has 24 hours. Zero and less are refused: no flag
/// has a use for them.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(text) {
        return Err(format!("a unit is missing: {text}s, {text}m or {text}h"));
    }
    let wrong = || "write it as 10s, 500ms, 1m30s or 7d".to_owned();
    let days = text.split_once('d').filter(|(days, _)| is_number(days.trim_end()));
    let (days, rest) = match days {
        Some((days, rest)) => {
            let rest =
                rest.strip_prefix("ays").or_else(|| rest.strip_prefix("ay")).unwrap_or(rest).trim_start();
            (days.trim_end().parse::<u32>().map_err(|_| wrong())?, rest)
        }
        None => (0, text),
    };
    let rest = match rest {
        "" if days > 0 => SignedDuration::ZERO,
        rest => rest.parse().map_err(|_| wrong())?,
    };
    match Duration::try_from(rest).map(|rest| rest + DAY * days) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it has to be more than nothing".to_owned()),
    }
}

/// Reads `KEY=VALUE`; the value may be empty and may hold more `=`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

/// Reads an idempotency key as messages show it: 1 to 32 hexadecimal digits.
pub(super) fn key(text: &str) -> Result<u128, String> {
    let hex = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    key.ok_or_else(|| "it has to be 1 to 32 hexadecimal digits".to_owned())
}

/// Reads an amount of bytes: `64KiB`, `8MiB`, `1GiB`. Less than 4 KiB is refused: no flag has a use for it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write it as 64KiB, 8MiB or 1GiB".to_owned();
    let digits = text.find(|char: char| !char.is_ascii_digit()).ok_or_else(wrong)?;
    let (amount, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim_start() {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let amount = amount.parse::<u64>().ok().and_then(|amount| amount.checked_mul(unit)).ok_or_else(wrong)?;
    if amount < 4 << 10 { Err("it has to be 4KiB or more".to_owned()) } else { Ok(amount) }
}

/// A time of day as documents tell it.
pub(super) fn rfc3339(time: SystemTime) -> String {
    // Later than the year 9999 nothing is told.
    Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}

/// Shows a long time in its two largest units: `3d4h`, `12m5s`, `7s`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Shows a time that may be long or short: `250ms`, `9.5s`, then as [`span`] does.
pub(super) fn brief(time: Duration) -> String {
    match time.as_millis() {
        ms @ ..1000 => format!("{ms}ms"),
        ms @ ..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => span(time.as_secs()),
    }
}

/// What to say of the age of a stale reading.
pub(super) fn age(age: Option<Duration>) -> String {
    match age {
        Some(age) => format!("this replica was current {} ago", brief(age)),
        None => "it is not known how old this replica is".to_owned(),
    }
}

/// A time in milliseconds, as documents have it.
pub(super) fn whole_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Shows an amount of bytes: `512 B`, `1.5 KiB`, `4.0 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// Shows a round trip: two digits that matter, never more.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2}ms"),
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms => format!("{ms:.0}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("15m", 900_000),
            ("1 hour", 3_600_000),
            ("7d", 604_800_000),
            ("1 day", 86_400_000),
            ("1d12h", 129_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "0s", "-1s", "soon", "1x", "10s10", "d", "0d", "1dx"] {
            assert!(duration(text).is_err(), "{text:?} was taken for a duration");
        }
        assert_eq!(duration("10"), Err("a unit is missing: 10s, 10m or 10h".to_owned()));
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("a").is_err());
        assert!(pair("=a").is_err());
    }

    #[test]
    fn keys_are_hexadecimal() {
        assert_eq!(key("00ff"), Ok(255));
        assert_eq!(key(&"f".repeat(32)), Ok(u128::MAX));
        for text in ["", "x", "+1", &"0".repeat(33)] {
            assert!(key(text).is_err(), "{text:?} was taken for a key");
        }
    }

    #[test]
    fn spans_show_two_units() {
        let shown = [(0, "0s"), (59, "59s"), (725, "12m5s"), (3_600, "1h0m"), (273_600, "3d4h")];
        for (seconds, text) in shown {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn times_and_amounts_are_shown_in_fitting_units() {
        for (ms, text) in [(0, "0ms"), (999, "999ms"), (1500, "1.5s"), (59_999, "59s"), (90_000, "1m30s")] {
            assert_eq!(brief(Duration::from_millis(ms)), text);
        }
        for (amount, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")] {
            assert_eq!(bytes(amount), text);
        }
    }

    #[test]
    fn round_trips_show_the_digits_that_matter() {
        for (ms, text) in [(0.042, "0.04ms"), (0.4, "0.40ms"), (4.13, "4.1ms"), (31.2, "31ms")] {
            assert_eq!(milliseconds(ms), text);
        }
    }
}
