//! Deadlines that hardly ever come.
//!
//! Each entry has some, and to enter a timer into the runtime's wheel and take it out again for each costs more than to
//! choose a resource. So a timer stays in the wheel when its deadline is not needed any more, and the next deadline takes
//! it over as it is: where it fires too early, it is set to the rest, which happens once in a limit's time.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep_until};

/// Timers kept at most; those beyond leave the wheel.
const MOST_KEPT: usize = 256;

/// Timers of one thread that no deadline needs now; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers(Arc<Mutex<Vec<Pin<Box<Sleep>>>>>);

/// Ends when its deadline has come.
#[derive(Debug)]
pub(super) struct Deadline {
    timers: Timers,
    /// From the first time that it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    at: Instant,
}

impl Timers {
    pub(super) fn at(&self, at: std::time::Instant) -> Deadline {
        Deadline { timers: self.clone(), timer: None, at: at.into() }
    }

    fn take(&self, latest: Instant) -> Pin<Box<Sleep>> {
        let Some(mut timer) = self.kept().pop() else { return Box::pin(sleep_until(latest)) };
        if timer.deadline() > latest {
            timer.as_mut().reset(latest);
        }
        timer
    }

    fn keep(&self, timer: Pin<Box<Sleep>>) {
        let mut kept = self.kept();
        if kept.len() < MOST_KEPT {
            kept.push(timer);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// Another one instead, whether or not the last one has come.
    pub(super) fn move_to(&mut self, at: std::time::Instant) {
        self.at = at.into();
        if let Some(timer) = &mut self.timer
            && timer.deadline() > self.at
        {
            timer.as_mut().reset(self.at);
        }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { timers, timer, at } = &mut *self;
        let timer = timer.get_or_insert_with(|| timers.take(*at));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= *at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(*at);
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.timers.keep(timer);
        }
    }
}

impl rt::Sleep for Deadline {}

impl rt::Timer for Timers {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.at(deadline))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: std::time::Instant) {
        if let Some(deadline) = sleep.as_mut().downcast_mut_pin::<Deadline>() {
            deadline.get_mut().move_to(new_deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn now() -> std::time::Instant {
        Instant::now().into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_comes_when_it_is_due_whoever_had_its_timer_before() {
        let timers = Timers::default();
        for earlier in [LIMIT / 2, LIMIT, 2 * LIMIT] {
            let mut unneeded = timers.at(now() + earlier);
            assert!(futures::poll!(&mut unneeded).is_pending());
            drop(unneeded);
            assert_eq!(timers.kept().len(), 1);
            let began = Instant::now();
            timers.at(now() + LIMIT).await;
            // The wheel turns by the millisecond.
            let took = began.elapsed();
            assert!((LIMIT..LIMIT + Duration::from_millis(2)).contains(&took), "{earlier:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_can_be_moved_both_ways_and_after_it_came() {
        let timers = Timers::default();
        let mut deadline = timers.at(now() + LIMIT);
        for to in [LIMIT, 2 * LIMIT, LIMIT / 2] {
            assert!(futures::poll!(&mut deadline).is_pending());
            let began = Instant::now();
            deadline.move_to(now() + to);
            (&mut deadline).await;
            let took = began.elapsed();
            assert!((to..to + Duration::from_millis(2)).contains(&took), "{to:?}: {took:?}");
            deadline.move_to(now() + LIMIT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timers_beyond_the_most_leave_the_wheel() {
        let timers = Timers::default();
        let mut crowd: Vec<Deadline> = (0..2 * MOST_KEPT).map(|_| timers.at(now() + LIMIT)).collect();
        for deadline in &mut crowd {
            assert!(futures::poll!(deadline).is_pending());
        }
        drop(crowd);
        assert_eq!(timers.kept().len(), MOST_KEPT);
    }
}
