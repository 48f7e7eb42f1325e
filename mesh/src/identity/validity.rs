//! Reads from when to when a certificate counts: the one field that neither rustls nor webpki tells.

use std::time::{Duration, SystemTime};

/// The `notBefore` and `notAfter` of the X.509 certificate in `der` (RFC 5280, section 4.1), if they can be read.
pub fn of_certificate(der: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let certificate = expect(der, SEQUENCE)?.0;
    let mut fields = expect(certificate, SEQUENCE)?.0;
    if fields.first() == Some(&VERSION) {
        fields = expect(fields, VERSION)?.1;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = expect(fields, tag)?.1; // Serial number, signature algorithm, issuer.
    }
    let validity = expect(fields, SEQUENCE)?.0;
    let (tag, time, rest) = element(validity)?;
    let not_before = parse_time(tag, time)?;
    let (tag, time, _) = element(rest)?;
    Some((not_before, parse_time(tag, time)?))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of the first element, which must have `tag`, and what follows it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(input)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and remainder of the first DER element. Certificates need no length beyond two bytes.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, input) = input.split_first()?;
    let (&first, input) = input.split_first()?;
    let (length, input) = match first {
        0..=0x7f => (usize::from(first), input),
        0x81 => (usize::from(*input.first()?), &input[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*input.first_chunk()?)), &input[2..]),
        _ => return None,
    };
    (input.len() >= length).then(|| (tag, &input[..length], &input[length..]))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, as RFC 5280 writes them.
fn parse_time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: u64 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let field = |at: usize| rest[at..at + 2].parse::<u64>().ok();
    let (month, day) = (field(0)?, field(2)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + field(4)? * 3600 + field(6)? * 60 + field(8)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`).
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let cases: [(u8, &[u8], Option<u64>); 7] = [
            (UTC_TIME, b"700101000000Z", Some(0)),
            (UTC_TIME, b"270115080000Z", Some(1_800_000_000)),
            (GENERALIZED_TIME, b"20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, b"20000229123456Z", Some(951_827_696)),
            (UTC_TIME, b"271315080000Z", None),
            (UTC_TIME, b"27011508000Z", None),
            (GENERALIZED_TIME, b"2050010100000xZ", None),
        ];
        for (tag, text, seconds) in cases {
            let time = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(parse_time(tag, text), time, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for der in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x82, 0xff, 0xff], &[0x30, 0x03, 0x30, 0x01, 0]]
        {
            assert_eq!(of_certificate(der), None);
        }
    }
}
