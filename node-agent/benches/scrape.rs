//! What one look at a pod's metrics costs: `cargo bench --bench scrape` prints milliseconds and bytes as JSON.
//!
//! A page of 10,000 lines comes over loopback, as a pod serves it; the time is the median of many looks, connection
//! included, the memory what is allocated at most during one.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{fmt::Write, net::SocketAddr, time::Instant};

use anyhow::ensure;
use foreshift_api::journal_route::Observation;
use foreshift_node_agent::{entries::scrape, exposition::Query};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Builder,
};

const LINES: usize = 10_000;
const LOOKS: usize = 101;

fn main() -> anyhow::Result<()> {
    let page = page()?;
    let (tell, told) = std::sync::mpsc::channel();
    // A thread of its own: the pod's work is not the agent's.
    std::thread::spawn(move || -> anyhow::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            tell.send(listener.local_addr()?)?;
            serve(&listener, &page).await
        })
    });
    let pod = told.recv()?;
    let query = Query::from(&Observation::default());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let look = |pod: SocketAddr| runtime.block_on(scrape(pod, "/metrics", &query));
    let mut milliseconds = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..LOOKS {
        let began = Instant::now();
        let page = look(pod)?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(page.len() == 20, "{} classes were read", page.len());
        bytes.push(allocation_counter::measure(|| drop(look(pod))).bytes_max);
    }
    milliseconds.sort_by(f64::total_cmp);
    bytes.sort_unstable();
    let median = LOOKS / 2;
    println!(
        "{{\"scrape_10000_lines_ms\": {:.3}, \"slowest_ms\": {:.3}, \"bytes\": {}}}",
        milliseconds[median],
        milliseconds[LOOKS - 1],
        bytes[median]
    );
    Ok(())
}

async fn serve(listener: &TcpListener, page: &str) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut request = [0; 1024];
        ensure!(stream.read(&mut request).await? > 0, "nothing was asked");
        stream.write_all(page.as_bytes()).await?;
    }
}

/// Twenty routes with three codes and fourteen buckets each, and as many other lines as make 10,000.
fn page() -> Result<String, std::fmt::Error> {
    let metric = "http_server_request_duration_seconds";
    let mut body = String::new();
    let mut lines = 0;
    for route in 0..20 {
        for code in [200, 404, 503] {
            let labels = format!(
                "http_request_method=\"POST\",http_response_status_code=\"{code}\",http_route=\"/v1/entries/{route}\",\
                 network_protocol_version=\"1.1\",server_address=\"journal-a\",url_scheme=\"http\""
            );
            for bucket in 0..14 {
                writeln!(
                    body,
                    "{metric}_bucket{{{labels},le=\"{}\"}} {}",
                    0.005 * f64::from(bucket),
                    bucket * 7
                )?;
            }
            writeln!(body, "{metric}_sum{{{labels}}} 12.5\n{metric}_count{{{labels}}} 1000")?;
            lines += 16;
        }
    }
    for line in lines..LINES {
        writeln!(body, "process_runtime_pool_usage_bytes{{pool=\"eden\",shard=\"{line}\"}} {}", line * 4096)?;
    }
    Ok(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"))
}
