//! So many at once, and so many a second from then on: a token bucket, kept as the time at which it is full again (the
//! generic cell rate algorithm; ITU-T I.371, annex A).

use std::{num::NonZeroU32, time::Duration};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doors) struct Rate {
    each: Duration,
    burst: u32,
}

impl Rate {
    /// So many a second, and `burst` at once.
    pub const fn new(per_second: NonZeroU32, burst: u32) -> Self {
        Rate { each: Duration::from_nanos(1_000_000_000 / per_second.get() as u64), burst }
    }

    /// So many a second, and twice as many at once: what a page or a program that starts asks for together.
    pub const fn twice(per_second: NonZeroU32) -> Self {
        Rate::new(per_second, per_second.get().saturating_mul(2))
    }
}

/// A bucket, full at first.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::doors) struct Bucket {
    /// When it is full, counted from a beginning that all share.
    full_at: Duration,
}

impl Bucket {
    /// Takes one, at the time `now` since the beginning.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let taken = self.full_at.max(now) + rate.each;
        let emptiest = now + rate.each * rate.burst;
        if taken > emptiest {
            return Err(taken - emptiest);
        }
        self.full_at = taken;
        Ok(())
    }

    /// Gives one back.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.saturating_sub(rate.each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: NonZeroU32 = NonZeroU32::new(10).expect("it is more than nothing");

    #[test]
    fn a_burst_is_taken_and_then_so_many_a_second() {
        let (rate, mut bucket) = (Rate::new(TEN, 5), Bucket::default());
        let mut take = |ms| bucket.take(rate, Duration::from_millis(ms));
        assert_eq!((0..5).map(|_| take(1000)).filter(Result::is_ok).count(), 5);
        assert_eq!(take(1000), Err(Duration::from_millis(100)));
        assert_eq!(take(1099), Err(Duration::from_millis(1)));
        assert_eq!((take(1100), take(1100)), (Ok(()), Err(Duration::from_millis(100))));
        // However long nobody asked: no more than the burst.
        assert_eq!((0..100).map(|_| take(60_000)).filter(Result::is_ok).count(), 5);
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let (rate, mut bucket) = (Rate::new(TEN, 1), Bucket::default());
        assert!(bucket.take(rate, Duration::ZERO).is_ok() && bucket.take(rate, Duration::ZERO).is_err());
        bucket.give_back(rate);
        assert!(bucket.take(rate, Duration::ZERO).is_ok());
    }
}
