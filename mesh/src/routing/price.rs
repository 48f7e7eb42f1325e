//! What traffic between two clouds costs.

use std::{collections::BTreeMap, str::FromStr};

/// How many microseconds of round trip are as bad as one unit of money for a GB: a cent is worth a millisecond.
/// Providers ask for 0.01 between their regions and for 0.05 to 0.12 between clouds, which then is as far as the next
/// country.
const US_PER_UNIT: f64 = 100_000.0;
/// The highest price: more is a typing error.
const PER_GB_MAX: f64 = 1000.0;

/// What traffic between two clouds costs, whichever of them it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    clouds: [String; 2],
    per_gb: f64,
}

/// Why a text is no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// It has another form.
    #[error("{0:?} is no price: it is written CLOUD:CLOUD=AMOUNT, as in aws:gcp=0.09")]
    Form(String),
    /// It names one cloud twice.
    #[error("{0:?} is one cloud: what is sent within it has no price")]
    OneCloud(String),
    /// The amount is no number, or one that nobody asks for.
    #[error("{0:?} is no amount for a GB: it is a number from 0 to 1000")]
    Amount(String),
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let parts = text.split_once('=').and_then(|(clouds, amount)| Some((clouds.split_once(':')?, amount)));
        let form = || PriceError::Form(text.to_owned());
        let ((one, other), amount) = parts.ok_or_else(form)?;
        if one.is_empty() || other.is_empty() || other.contains(':') {
            return Err(form());
        }
        if one == other {
            return Err(PriceError::OneCloud(one.to_owned()));
        }
        let per_gb: Option<f64> = amount.parse().ok().filter(|amount| (0.0..=PER_GB_MAX).contains(amount));
        let per_gb = per_gb.ok_or_else(|| PriceError::Amount(amount.to_owned()))?;
        Ok(Price { clouds: [one.to_owned(), other.to_owned()], per_gb })
    }
}

/// All prices that this node reckons with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prices(BTreeMap<[String; 2], u64>);

impl Prices {
    /// Of two that are of the same clouds the later one counts.
    pub(crate) fn new(prices: &[Price]) -> Self {
        let us = |price: &Price| (price.per_gb * US_PER_UNIT).round() as u64;
        Prices(prices.iter().map(|price| (ordered(price.clouds.clone()), us(price))).collect())
    }

    /// Whether nothing has a price.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it costs to go from one cloud to another, in microseconds of round trip.
    pub(super) fn between(&self, one: &str, other: &str) -> u64 {
        if one == other {
            return 0;
        }
        self.0.get(&ordered([one.to_owned(), other.to_owned()])).copied().unwrap_or(0)
    }
}

fn ordered(mut clouds: [String; 2]) -> [String; 2] {
    clouds.sort_unstable();
    clouds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cent_is_worth_a_millisecond_in_both_directions() {
        let prices =
            ["aws:gcp=0.09", "lab:aws=0.01", "gcp:aws=0.08"].map(|text| text.parse().expect("a price"));
        let prices = Prices::new(&prices);
        assert_eq!((prices.between("aws", "gcp"), prices.between("gcp", "aws")), (8000, 8000));
        assert_eq!((prices.between("aws", "lab"), prices.between("lab", "gcp")), (1000, 0));
        assert_eq!(prices.between("aws", "aws"), 0);
        assert!(!prices.is_empty() && Prices::default().is_empty());
    }

    #[test]
    fn what_is_no_price_is_refused_by_name() {
        let refused = |text: &str| text.parse::<Price>().expect_err("no price").to_string();
        for text in ["", "aws", "aws:gcp", "aws=1", ":gcp=1", "aws:=1", "aws:gcp:az=1"] {
            assert!(refused(text).contains("CLOUD:CLOUD=AMOUNT"), "{text}");
        }
        assert!(refused("aws:aws=1").contains("one cloud"));
        for amount in ["x", "-1", "1001", "NaN", "inf"] {
            assert!(refused(&format!("aws:gcp={amount}")).contains("no amount"), "{amount}");
        }
    }
}
