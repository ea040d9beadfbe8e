//! The thread that sends copies: apart from those of the proxy, so that entries never wait for a copy's turn.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use foreshift_daemon::shutdown::Stop;
use tokio::{sync::mpsc::Receiver, task::JoinSet, time::MissedTickBehavior};

use super::{
    Figures, Limits, Queue,
    queue::Copy,
    send::{Times, send},
};
use crate::proxy::pool::Pool;

/// How often connections that nobody needs are looked for.
const TIDY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when asked to stop, and drops what is under way: a copy is worth no delay.
///
/// # Errors
/// If there can be no thread.
pub(crate) fn start(
    limits: Limits,
    connect: Duration,
    answer: Duration,
    figures: &Arc<Figures>,
    stop: &Stop,
) -> io::Result<(Queue, JoinHandle<()>)> {
    let (queue, copies) = Queue::new(limits, figures);
    let times = Times { connect, answer, wait: limits.longest_wait };
    let (figures, stop) = (Arc::clone(figures), stop.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || runtime.block_on(serve(copies, limits.under_way.max(1), times, figures, stop));
    Ok((queue, std::thread::Builder::new().name("shadow".into()).spawn(run)?))
}

async fn serve(mut copies: Receiver<Copy>, most: usize, times: Times, figures: Arc<Figures>, mut stop: Stop) {
    let pool = Pool::default();
    let mut under_way = JoinSet::new();
    let mut tidy = tokio::time::interval(TIDY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.requested() => break,
            _ = tidy.tick() => pool.tidy(),
            Some(_) = under_way.join_next() => {}
            copy = copies.recv(), if under_way.len() < most => {
                let Some(copy) = copy else { break };
                let (pool, figures) = (pool.clone(), Arc::clone(&figures));
                under_way.spawn(async move { send(copy, pool, times, &figures).await });
            }
        }
    }
    under_way.shutdown().await;
}
