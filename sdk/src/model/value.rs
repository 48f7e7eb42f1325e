//! How indexed values become keys: so that the order of the keys' bytes is the order of the values, and no value's key
//! is the beginning of another's. Keys are text, since the store's are.
//!
//! ```text
//!   bool      0 or 1
//!   integer   n + 2^63, 17 hex digits: those from -2^63 to 2^64 - 1 are then positive and of one length
//!   number    the 64 bits of the float, 16 hex digits: the sign bit flipped if it is positive, all bits if it is
//!             negative, since the bits of IEEE 754 rise with the absolute value
//!   time      nanoseconds since 1970 + 2^95, 24 hex digits
//!   text      itself, then two zero characters; a zero in it becomes zero, one: so that "a" < "a\0" < "ab"
//!   (a, b)    a, then b: nothing needs to stand between them
//! ```

use crate::wire::{Code, Fault};
use std::{
    fmt::{Debug, Write},
    time::SystemTime,
};

/// A value that an index can hold: booleans, whole numbers, floats, times, text, and tuples of two or three of them.
/// An `Option` that is `None` makes its record no part of the index.
pub trait IndexValue: Debug {
    /// What kind of value, one for each part of a tuple. An index holds values of one kind only; all whole numbers
    /// are of one, whatever their type.
    fn kinds() -> Vec<&'static str>;

    /// Appends the value's key.
    ///
    /// # Errors
    /// `Usage` if it has no place in any order: not a number.
    fn encode(&self, key: &mut String) -> Result<(), Fault>;

    /// Whether there is no value, so that there is to be no entry either.
    fn is_absent(&self) -> bool {
        false
    }
}

/// The first key behind all that begin with `key`, which ends with one of the characters that end a value.
pub(super) fn behind(key: &str) -> String {
    let mut behind = key.to_owned();
    let last = behind.pop().expect("a value's key is not empty");
    // Every value ends with a hex digit, a truth value or a zero: all of them have a next one.
    behind.push(char::from(u8::try_from(last).expect("a value's key ends in ASCII") + 1));
    behind
}

/// Appends `text` as it is at the beginning of the key of every text that begins with it.
pub(super) fn encode_beginning(text: &str, key: &mut String) {
    for character in text.chars() {
        key.push(character);
        if character == '\0' {
            key.push('\u{1}');
        }
    }
}

fn push_hex(key: &mut String, digits: usize, number: u128) {
    write!(key, "{number:0digits$x}").expect("a String takes every write");
}

impl IndexValue for bool {
    fn kinds() -> Vec<&'static str> {
        vec!["bool"]
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        key.push(if *self { '1' } else { '0' });
        Ok(())
    }
}

/// Whole numbers: all of one kind, so that a `u8` finds what was indexed as an `i64`.
macro_rules! integers {
    ($($integer:ty)*) => {
        $(impl IndexValue for $integer {
            fn kinds() -> Vec<&'static str> {
                vec!["integer"]
            }

            fn encode(&self, key: &mut String) -> Result<(), Fault> {
                let number = *self as i128 + (1 << 63);
                push_hex(key, 17, number.cast_unsigned());
                Ok(())
            }
        })*
    };
}

integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl IndexValue for f64 {
    fn kinds() -> Vec<&'static str> {
        vec!["number"]
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        if self.is_nan() {
            let fault = Fault::new(Code::Usage, "NaN has no place in an index");
            return Err(fault.help("index an Option, which is None then"));
        }
        // The two zeroes are equal, so they have one key.
        let bits = if *self == 0.0 { 0 } else { self.to_bits() };
        let ordered = if bits >> 63 == 0 { bits | (1 << 63) } else { !bits };
        push_hex(key, 16, ordered.into());
        Ok(())
    }
}

impl IndexValue for f32 {
    fn kinds() -> Vec<&'static str> {
        f64::kinds()
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        f64::from(*self).encode(key)
    }
}

impl IndexValue for SystemTime {
    fn kinds() -> Vec<&'static str> {
        vec!["time"]
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        let nanos = |duration: std::time::Duration| duration.as_nanos().cast_signed();
        let since = match self.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        };
        push_hex(key, 24, (since + (1 << 95)).cast_unsigned());
        Ok(())
    }
}

impl IndexValue for str {
    fn kinds() -> Vec<&'static str> {
        vec!["text"]
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        encode_beginning(self, key);
        key.push_str("\0\0");
        Ok(())
    }
}

impl IndexValue for String {
    fn kinds() -> Vec<&'static str> {
        str::kinds()
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        self.as_str().encode(key)
    }
}

impl<V: IndexValue + ?Sized> IndexValue for &V {
    fn kinds() -> Vec<&'static str> {
        V::kinds()
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        (**self).encode(key)
    }

    fn is_absent(&self) -> bool {
        (**self).is_absent()
    }
}

impl<V: IndexValue> IndexValue for Option<V> {
    fn kinds() -> Vec<&'static str> {
        V::kinds()
    }

    fn encode(&self, key: &mut String) -> Result<(), Fault> {
        let none = || Fault::new(Code::Usage, "a record without a value is in no index: None finds nothing");
        self.as_ref().ok_or_else(none)?.encode(key)
    }

    fn is_absent(&self) -> bool {
        self.as_ref().is_none_or(IndexValue::is_absent)
    }
}

/// Tuples, which are ordered by their first part, then the next.
macro_rules! tuples {
    ($(($($part:ident $number:tt),+))*) => {
        $(impl<$($part: IndexValue),+> IndexValue for ($($part,)+) {
            fn kinds() -> Vec<&'static str> {
                [$($part::kinds()),+].concat()
            }

            fn encode(&self, key: &mut String) -> Result<(), Fault> {
                $(self.$number.encode(key)?;)+
                Ok(())
            }

            fn is_absent(&self) -> bool {
                $(self.$number.is_absent())||+
            }
        })*
    };
}

tuples!((A 0, B 1) (A 0, B 1, C 2));

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use std::{cmp::Ordering, time::Duration};

    fn key(value: impl IndexValue) -> String {
        let mut key = String::new();
        value.encode(&mut key).expect("it has a place");
        key
    }

    /// Checks each pair of values: keys stand to each other as the values do, and neither begins with the other.
    fn check<V: IndexValue + PartialOrd + Clone>(values: &[V]) {
        for a in values {
            for b in values {
                let (key_a, key_b) = (key(a.clone()), key(b.clone()));
                let order = a.partial_cmp(b).expect("they can be compared");
                assert_eq!(key_a.as_bytes().cmp(key_b.as_bytes()), order, "{a:?} and {b:?}");
                if order == Ordering::Less {
                    assert!(!key_b.starts_with(&key_a), "{a:?} and {b:?}");
                    // What is behind a value is behind it with any id, and before or at all greater ones.
                    assert!(behind(&key_a) > format!("{key_a}\u{10ffff}z") && behind(&key_a) <= key_b);
                }
            }
        }
    }

    fn random<V>(mut draw: impl FnMut(&mut SmallRng) -> V) -> Vec<V> {
        let mut rng = SmallRng::seed_from_u64(7);
        (0..300).map(|_| draw(&mut rng)).collect()
    }

    fn random_text(rng: &mut SmallRng) -> String {
        // Few characters, so that texts share beginnings: zeroes, the escapes' own, the last of each length in UTF-8.
        const CHARACTERS: [char; 9] =
            ['\0', '\u{1}', '\u{2}', 'a', 'b', '\u{7f}', 'ü', '\u{ffff}', '\u{10ffff}'];
        (0..rng.random_range(0..5)).map(|_| CHARACTERS[rng.random_range(0..CHARACTERS.len())]).collect()
    }

    #[test]
    fn keys_are_in_the_order_of_values() {
        check(&[false, true]);
        check(&random(|rng| rng.random::<i64>() >> rng.random_range(0..64)));
        check(&random(|rng| rng.random::<u64>() >> rng.random_range(0..64)));
        check(&[i64::MIN, -1, 0, 1, i64::MAX]);
        check(
            &random(|rng| f64::from_bits(rng.random()))
                .into_iter()
                .filter(|f| !f.is_nan())
                .collect::<Vec<_>>(),
        );
        check(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, f64::MIN_POSITIVE, 1.5, f64::INFINITY]);
        check(&random(random_text));
        let time = |rng: &mut SmallRng| {
            let apart =
                Duration::new(rng.random::<u64>() >> rng.random_range(24..64), rng.random_range(0..3));
            let epoch = SystemTime::UNIX_EPOCH;
            if rng.random() { epoch + apart } else { epoch - apart }
        };
        check(&random(time));
        check(&random(|rng| (random_text(rng), rng.random_range(-2..3i64))));
        check(&random(|rng| (rng.random::<bool>(), random_text(rng), random_text(rng))));
    }

    #[test]
    fn whole_numbers_of_all_types_meet() {
        assert_eq!(key(7u8), key(7i64));
        assert!(key(u64::MAX) > key(i64::MAX) && key(i64::MIN) < key(0usize));
        assert_eq!(key(1.5f32), key(1.5f64));
    }

    #[test]
    fn a_text_is_found_by_its_beginning() {
        for text in random(random_text) {
            for other in random(random_text) {
                let mut beginning = String::new();
                encode_beginning(&text, &mut beginning);
                assert_eq!(
                    key(other.as_str()).starts_with(&beginning),
                    other.starts_with(&text),
                    "{text:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        assert_eq!(f64::NAN.encode(&mut String::new()).expect_err("it is no number").code, Code::Usage);
        assert!(None::<u8>.is_absent() && (1, None::<u8>).is_absent() && !Some(1).is_absent());
        assert!(None::<u8>.encode(&mut String::new()).is_err());
    }
}
