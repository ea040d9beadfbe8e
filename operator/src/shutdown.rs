//! One wish to stop, seen by every task.

use tokio::sync::watch;

/// Asks every holder of the [`Stop`] to finish.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Tells a task when to finish.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A wish and those who wait for it.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Everybody finishes.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when the process shall end, or when nobody can ask for it any more.
    pub async fn requested(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// Returns when the kernel asks the process to end: SIGTERM from a kubelet, SIGINT from a terminal.
///
/// # Errors
/// If the signals cannot be listened to.
pub async fn signal() -> std::io::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        ended = tokio::signal::ctrl_c() => ended,
    }
}
