//! However money is moved, there is as much as there was, and no account is overdrawn: in every look at all accounts
//! at one moment (the "bank" of Jepsen's tests).

use super::{Checker, Ending, Violation};
use crate::workload::bank::{ACCOUNTS, BankAsked, BankTold, Look, OPENING};

/// The bank's books.
#[derive(Default)]
pub struct BankBalance;

impl Checker for BankBalance {
    fn name(&self) -> &'static str {
        "the bank's balance"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.bank.entries();
        let opened = entries.iter().filter(|entry| entry.done().is_some() && entry.asked == BankAsked::Open);
        let opened = opened.filter_map(|entry| entry.to).min();
        for entry in &entries {
            let (BankAsked::Look(look), Some(BankTold::Balances { accounts, revision })) =
                (&entry.asked, entry.done())
            else {
                continue;
            };
            let total: i64 = accounts.iter().map(|(_, balance)| balance).sum();
            let whole = accounts.iter().map(|(name, _)| name.as_str()).eq(ACCOUNTS);
            // Before the bank was opened there is nothing, and in the past that may be seen for ever.
            let may_be_empty =
                matches!(look, Look::Past { .. }) || opened.is_none_or(|opened| entry.from <= opened);
            let good = whole
                && total == OPENING * ACCOUNTS.len() as i64
                && accounts.iter().all(|(_, balance)| *balance >= 0);
            if !(good || accounts.is_empty() && may_be_empty) {
                return Err(self.violation(format!(
                    "{} saw {total} at revision {revision} ({look:?}), in {accounts:?}, at {:.3} s",
                    entry.client,
                    entry.from.as_secs_f64()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seen(balances: &[i64]) -> bool {
        let ending = Ending::default();
        let journal = &ending.journals.bank;
        let told = |place, told| {
            journal.tell(place, crate::workload::Outcome::Done(told), Duration::from_secs(place as u64));
        };
        told(journal.ask("c", BankAsked::Open, Duration::ZERO), BankTold::Held(true));
        let accounts = ACCOUNTS.iter().map(|name| (*name).to_owned()).zip(balances.iter().copied()).collect();
        let asked = BankAsked::Look(Look::Pages);
        told(journal.ask("c", asked, Duration::from_secs(1)), BankTold::Balances { revision: 1, accounts });
        BankBalance.conclude(&ending).is_err()
    }

    #[test]
    fn money_that_is_made_lost_or_lent_is_seen() {
        assert!(!seen(&[20, 20, 20, 20, 20]));
        assert!(!seen(&[0, 40, 20, 0, 40]));
        assert!(seen(&[20, 20, 20, 20, 21]));
        assert!(seen(&[20, 20, 20, 20, 19]));
        assert!(seen(&[-1, 41, 20, 20, 20]));
        assert!(seen(&[50, 50]));
        assert!(seen(&[]));
    }
}
