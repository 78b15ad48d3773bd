//! Calls of the echo service.

use crate::echo::echo_service_client::EchoServiceClient;
use crate::echo::echo_service_server::EchoServiceServer;
use crate::echo::*;
use crate::{Failure, RpcStatus, hex, say, text};
use iroh::{Endpoint, EndpointAddr, EndpointId};
use prost::Message;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tonic_iroh_transport::{IrohChannel, IrohConnect};

type Client = EchoServiceClient<IrohChannel>;

pub async fn call(endpoint: Endpoint, id: &str, address: &str) -> Result<(), Failure> {
    let peer =
        EndpointAddr::new(id.parse::<EndpointId>()?).with_ip_addr(address.parse::<SocketAddr>()?);
    let channel = <EchoServiceServer<Nobody> as IrohConnect>::connect(&endpoint, peer).await?;
    let mut client = EchoServiceClient::new(channel);
    say("connected", &[("id", text(endpoint.id()))]);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line == "end" {
            break;
        }
        match scenario(&mut client, &line, &mut lines).await {
            Ok(result) => say("result", &[("value", result)]),
            Err(status) => say("error", &error(&status)),
        }
    }
    endpoint.close().await;
    say("ended", &[]);
    Ok(())
}

/// What the connector asks of a server is its name alone.
pub struct Nobody;

/// After this long without an answer there will be none.
const PATIENCE: Duration = Duration::from_secs(1);

/// What comes while more could be sent; or else "late: " and what comes when that is over, if only a code.
async fn held<T>(
    sender: mpsc::Sender<T>,
    call: impl Future<Output = Result<String, Status>>,
) -> Result<String, Status> {
    tokio::pin!(call);
    match tokio::time::timeout(PATIENCE, &mut call).await {
        Ok(answer) => Ok(text(answer?)),
        Err(_) => {
            drop(sender);
            let answer = call.await;
            let answer = answer.unwrap_or_else(|status| (status.code() as i32).to_string());
            Ok(text(format!("late: {answer}")))
        }
    }
}

async fn scenario(
    client: &mut Client,
    line: &str,
    lines: &mut Lines<BufReader<Stdin>>,
) -> Result<String, Status> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[0] {
        "echo" => {
            let message = words[1..].join(" ");
            let response = client.echo(EchoRequest { message }).await?;
            Ok(text(response.into_inner().message))
        }
        "sizes" => {
            let message = "x".repeat(words[1].parse().expect("a number"));
            let response = client.echo(EchoRequest { message }).await?;
            Ok(response.into_inner().message.len().to_string())
        }
        "metadata" => {
            let mut request = Request::new(EchoRequest {
                message: "metadata".into(),
            });
            let metadata = request.metadata_mut();
            metadata.insert("x-ask", "question".parse().expect("ASCII"));
            metadata.insert_bin("x-ask-bin", MetadataValue::from_bytes(&[0, 255, 10]));
            let response = client.echo(request).await?;
            let answer = response
                .metadata()
                .get("x-answer")
                .map(|value| value.to_str());
            let binary = response.metadata().get_bin("x-answer-bin");
            let binary = binary
                .and_then(|value| value.to_bytes().ok())
                .unwrap_or_default();
            Ok(format!(
                "[{},{}]",
                text(answer.map_or("", Result::unwrap_or_default)),
                hex(&binary)
            ))
        }
        "repeat" => {
            let request = RepeatRequest {
                message: words[1].into(),
                count: words[2].parse().expect("a number"),
            };
            let mut responses = client.repeat(request).await?.into_inner();
            let mut answers = Vec::new();
            while let Some(RepeatResponse { message, number }) = responses.message().await? {
                answers.push(format!("{message} {number}"));
            }
            Ok(list(&answers))
        }
        "collect" => {
            let requests: Vec<_> = words[1..]
                .iter()
                .map(|word| CollectRequest {
                    message: (*word).into(),
                })
                .collect();
            let response = client.collect(tokio_stream::iter(requests)).await?;
            Ok(list(&response.into_inner().messages))
        }
        // All that is to be said is there from the beginning.
        "converse" => {
            let requests: Vec<_> = words[1..]
                .iter()
                .map(|word| ConverseRequest {
                    message: (*word).into(),
                })
                .collect();
            let mut responses = client
                .converse(tokio_stream::iter(requests))
                .await?
                .into_inner();
            let mut messages = Vec::new();
            while let Some(response) = responses.message().await? {
                messages.push(response.message);
            }
            Ok(list(&messages))
        }
        // Says what is answered when it comes.
        "repeat-live" => {
            let request = RepeatRequest {
                message: "paced".into(),
                count: words[1].parse().expect("a number"),
            };
            let mut responses = client.repeat(request).await?.into_inner();
            while let Some(response) = responses.message().await? {
                say("message", &[("number", response.number.to_string())]);
            }
            Ok(text("done"))
        }
        // Sends each line of stdin, until one is "finish".
        "collect-live" => {
            let (sender, receiver) = mpsc::channel(1);
            let call = client.collect(ReceiverStream::new(receiver));
            let dictate = async move {
                while let Ok(Some(message)) = lines.next_line().await {
                    if message == "finish" || sender.send(CollectRequest { message }).await.is_err()
                    {
                        return;
                    }
                }
            };
            let (response, ()) = tokio::join!(call, dictate);
            Ok(list(&response?.into_inner().messages))
        }
        // What comes next depends on the answer to the first message.
        "collect-held" => {
            let message = words[1].to_string();
            let (sender, receiver) = mpsc::channel(1);
            let _ = sender.send(CollectRequest { message }).await;
            let call = client.collect(ReceiverStream::new(receiver));
            held(sender, async {
                Ok(call.await?.into_inner().messages.join(","))
            })
            .await
        }
        "converse-held" => {
            let message = words[1].to_string();
            let (sender, receiver) = mpsc::channel(1);
            let _ = sender.send(ConverseRequest { message }).await;
            let call = async {
                let responses = client.converse(ReceiverStream::new(receiver)).await?;
                let first = responses.into_inner().message().await?;
                Ok(first.map_or(String::new(), |response| response.message))
            };
            held(sender, call).await
        }
        // Each of them is answered by as much, while the rest is sent.
        "converse-much" => {
            let count: usize = words[1].parse().expect("a number");
            let message = "x".repeat(words[2].parse().expect("a number"));
            let requests = tokio_stream::iter(vec![ConverseRequest { message }; count]);
            let call = async {
                let mut responses = client.converse(requests).await?.into_inner();
                let mut length = 0;
                while let Some(response) = responses.message().await? {
                    length += response.message.len();
                }
                Ok(length.to_string())
            };
            match tokio::time::timeout(PATIENCE, call).await {
                Ok(length) => length,
                Err(_) => Ok(text("stuck")),
            }
        }
        // Compressed both ways.
        "gzip" => {
            let mut client = client
                .clone()
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip);
            let response = client
                .echo(EchoRequest {
                    message: format!("compressed {}", "x".repeat(100_000)),
                })
                .await?;
            let encoding = response.metadata().get("grpc-encoding");
            let encoding = encoding.map_or("", |value| value.to_str().unwrap_or_default());
            Ok(list(&[encoding.into(), response.get_ref().message.clone()]))
        }
        "deadline" => {
            let mut request = Request::new(EchoRequest {
                message: "hang".into(),
            });
            request.set_timeout(Duration::from_millis(200));
            client.echo(request).await?;
            Ok(text("answered"))
        }
        // Gives a call up that has begun.
        "cancel" => {
            let call = client.echo(EchoRequest {
                message: "hang".into(),
            });
            let _ = tokio::time::timeout(Duration::from_millis(300), call).await;
            Ok(text("given up"))
        }
        other => Err(Status::invalid_argument(format!("no scenario {other}"))),
    }
}

fn list(messages: &[String]) -> String {
    format!(
        "[{}]",
        messages.iter().map(text).collect::<Vec<_>>().join(",")
    )
}

fn error(status: &Status) -> Vec<(&'static str, String)> {
    let details = RpcStatus::decode(status.details())
        .unwrap_or_default()
        .details;
    let details: Vec<_> = details.iter().map(|detail| hex(&detail.value)).collect();
    let reason = status.metadata().get("x-reason");
    vec![
        ("code", (status.code() as i32).to_string()),
        ("message", text(status.message())),
        ("details", format!("[{}]", details.join(","))),
        (
            "reason",
            text(reason.map_or("", |value| value.to_str().unwrap_or_default())),
        ),
    ]
}
