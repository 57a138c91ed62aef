//! An ordinary client over WebSocket, plain and with TLS.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures::StreamExt;
use jetsled_testkit::{Launch, Server};
use jetsled_tests::certificates::Certificates;

/// Starts a server; returns it with the URL of its WebSocket listener.
fn start(block: &str) -> (Server, String) {
    let text = format!("websocket {{ host: 127.0.0.1, port: -1, {block} }}");
    let server = Launch::new()
        .config(text)
        .start()
        .expect("the server starts");
    let log = server.log();
    let (_, url) = log
        .split_once("Listening for websocket clients on ")
        .expect("it says where");
    let url = url.lines().next().unwrap_or_default().to_owned();
    (server, url)
}

/// Messages of all sizes and a request, there and back.
async fn exchange(client: &Client) {
    let sizes = || (0..400).map(|round: usize| round * round % 70_000);
    let mut messages = client.subscribe("a.*").await.expect("subscribed");
    for (round, size) in sizes().enumerate() {
        let payload = vec![(round % 251) as u8; size];
        client
            .publish(format!("a.{round}"), payload.into())
            .await
            .expect("published");
    }
    for (round, size) in sizes().enumerate() {
        let within = tokio::time::timeout(Duration::from_secs(10), messages.next());
        let message = within.await.expect("in time").expect("a message");
        assert_eq!(message.subject.as_str(), format!("a.{round}"));
        assert_eq!(message.payload.len(), size);
        assert!(
            message
                .payload
                .iter()
                .all(|byte| *byte == (round % 251) as u8)
        );
    }
    let mut requests = client.subscribe("echo").await.expect("subscribed");
    let server = client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a reply subject");
            server
                .publish(reply, request.payload)
                .await
                .expect("answered");
        }
    });
    let large = vec![7; 1_000_000];
    let answer = client
        .request("echo", large.clone().into())
        .await
        .expect("answered");
    assert_eq!(answer.payload, large);
}

#[tokio::test]
async fn a_client_over_websocket_is_a_client_as_any_other() {
    let (server, url) = start("no_tls: true");
    let client = async_nats::connect(&url).await.expect("connected");
    exchange(&client).await;
    let other = async_nats::connect(server.url()).await.expect("connected");
    let mut heard = other.subscribe("both").await.expect("subscribed");
    other.flush().await.expect("flushed");
    client
        .publish("both", "over".into())
        .await
        .expect("published");
    let message = heard.next().await.expect("a message");
    assert_eq!(message.payload, "over");
}

#[tokio::test]
async fn a_client_over_websocket_and_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::create(dir.path()).expect("certificates");
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        certificates.cert, certificates.key
    );
    let (_server, url) = start(&tls);
    assert!(url.starts_with("wss://"), "{url}");
    let client = ConnectOptions::new()
        .add_root_certificates(certificates.ca)
        .connect(&url)
        .await
        .expect("connected");
    exchange(&client).await;
}
