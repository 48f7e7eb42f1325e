//! What the results of a check come to: several in a row, so that one that was lost makes no noise.

/// What the results came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Unknown,
    Passing,
    /// Why.
    Failing(String),
}

/// The results of one check.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    unhealthy_after: u32,
    healthy_after: u32,
    /// How many results in a row were like the last one, and whether that was a success.
    streak: (bool, u32),
    verdict: Verdict,
}

impl Tally {
    /// Nothing is known yet.
    pub fn new(unhealthy_after: u32, healthy_after: u32) -> Self {
        Tally { unhealthy_after, healthy_after, streak: (true, 0), verdict: Verdict::Unknown }
    }

    /// Counts a result: a success, or why it was none.
    pub fn note(&mut self, result: Result<(), String>) {
        let success = result.is_ok();
        let before = if self.streak.0 == success { self.streak.1 } else { 0 };
        self.streak = (success, before.saturating_add(1));
        match result {
            Ok(()) if self.streak.1 >= self.healthy_after => self.verdict = Verdict::Passing,
            // The reason stays that of the change: a reason that differs each time would be gossiped each time.
            Err(why)
                if self.streak.1 >= self.unhealthy_after && !matches!(self.verdict, Verdict::Failing(_)) =>
            {
                self.verdict = Verdict::Failing(why);
            }
            _ => {}
        }
    }

    /// What they came to.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_results_in_a_row_make_a_verdict() {
        let mut tally = Tally::new(3, 2);
        let mut after = |results: &str| {
            for result in results.chars() {
                tally.note(if result == '+' { Ok(()) } else { Err(result.to_string()) });
            }
            tally.verdict().clone()
        };
        assert_eq!(after(""), Verdict::Unknown);
        assert_eq!(after("+"), Verdict::Unknown);
        assert_eq!(after("+"), Verdict::Passing);
        assert_eq!(after("ab+ab"), Verdict::Passing);
        assert_eq!(after("c"), Verdict::Failing("c".to_owned()));
        assert_eq!(after("d+e"), Verdict::Failing("c".to_owned()));
        assert_eq!(after("++"), Verdict::Passing);
        let mut never = Tally::new(1, 1);
        never.note(Err("refused".to_owned()));
        assert_eq!(*never.verdict(), Verdict::Failing("refused".to_owned()));
    }
}
