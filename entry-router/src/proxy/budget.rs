//! How many entries may be tried again: a part of all, so that retries never become the load that breaks a resource.

/// One retry, in the parts that entries pay in.
const TOKEN: u64 = 1000;

/// Retries that are free each second, so that a few entries can be retried where there are few.
const FREE: u64 = 10 * TOKEN;

/// Tokens saved up at most, in seconds of `FREE`.
const SAVED: u64 = 10;

/// A bucket: every entry pays in a part of a token, every retry takes one out.
#[derive(Debug)]
pub(super) struct Budget {
    part: u64,
    tokens: u64,
}

impl Budget {
    /// `part` of the entries may be tried again, 0 to 1.
    pub(super) fn new(part: f64) -> Self {
        Self { part: (part.clamp(0.0, 1.0) * TOKEN as f64) as u64, tokens: FREE }
    }

    pub(super) fn entry(&mut self) {
        self.tokens = self.tokens.saturating_add(self.part);
    }

    /// Called once a second. What busy seconds left over does not pay for a storm of retries later.
    pub(super) fn second(&mut self) {
        self.tokens = (self.tokens + FREE).min(FREE * SAVED);
    }

    pub(super) fn retry(&mut self) -> bool {
        let enough = self.tokens >= TOKEN;
        if enough {
            self.tokens -= TOKEN;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_entries_is_tried_again_and_a_few_in_any_case() {
        let mut budget = Budget::new(0.2);
        let mut retried = 0;
        for _ in 0..1000 {
            budget.entry();
            retried += u32::from(budget.retry());
        }
        assert!((200..=210).contains(&retried), "{retried}");
        while budget.retry() {}
        budget.second();
        assert_eq!((0..100).filter(|_| budget.retry()).count(), 10);
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let mut budget = Budget::new(0.2);
        (0..100_000).for_each(|_| budget.entry());
        budget.second();
        assert_eq!((0..1000).filter(|_| budget.retry()).count(), 100);
    }
}
