//! A client and resources, as small as they can be.

use std::net::SocketAddr;

use axum::{Router, http::HeaderMap, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A resource that answers with its own address, the entry's size, and whom the gateway was told to ask.
pub(crate) async fn resource() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async move |headers: HeaderMap, body: String| {
        let told = headers.get("x-gateway-destination-endpoint").map_or("", |v| v.to_str().unwrap());
        format!("{address} {} {told}", body.len())
    };
    let served = tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/upload", post(answer))).await.unwrap();
    });
    (address, served)
}

/// Posts one entry on a connection of its own: status and body of the answer.
pub(crate) async fn post_entry(to: SocketAddr, headers: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(to).await?;
    let length = body.len();
    let request = format!(
        "POST /upload HTTP/1.1\r\nhost: journal\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, unchunked(head, body)))
}

fn unchunked(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    body.lines().skip(1).step_by(2).collect()
}
