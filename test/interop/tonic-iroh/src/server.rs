//! The echo service. What a call is about is said by its message.

use crate::echo::echo_service_server::{EchoService, EchoServiceServer};
use crate::echo::*;
use crate::{Detail, Failure, RpcStatus, say, text};
use iroh::Endpoint;
use prost::Message;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_iroh_transport::{IrohContext, TransportBuilder};

pub async fn serve(endpoint: Endpoint) -> Result<(), Failure> {
    let guard = TransportBuilder::new(endpoint.clone())
        .add_rpc(
            EchoServiceServer::new(Echo)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip),
        )
        .spawn()
        .await?;
    let address = endpoint.bound_sockets()[0];
    say(
        "serving",
        &[("id", text(endpoint.id())), ("address", text(address))],
    );
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        STEPS.add_permits(1);
    }
    guard.shutdown().await?;
    Ok(())
}

struct Echo;

/// What handlers that are "paced" may do: one for each line of stdin.
static STEPS: Semaphore = Semaphore::const_new(0);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Says that a handler was dropped before it was done.
struct Dropped(&'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        say("dropped", &[("handler", text(self.0))]);
    }
}

fn caller<T>(request: &Request<T>) -> String {
    let context = request.extensions().get::<IrohContext>();
    context.map_or("nobody".into(), |context| context.node_id.to_string())
}

fn answer(message: &str, caller: &str) -> String {
    match message {
        "who-am-I" => caller.into(),
        other => other.into(),
    }
}

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        match request.get_ref().message.as_str() {
            "metadata" => {
                let asked = request.metadata();
                let mut response = Response::new(EchoResponse {
                    message: caller(&request),
                });
                if let Some(value) = asked.get("x-ask") {
                    response.metadata_mut().insert("x-answer", value.clone());
                }
                if let Some(value) = asked.get_bin("x-ask-bin") {
                    response
                        .metadata_mut()
                        .insert_bin("x-answer-bin", value.clone());
                }
                Ok(response)
            }
            "fail" => Err(failure()),
            // What the request was compressed with.
            question if question.starts_with("compressed") => {
                let encoding = request.metadata().get("grpc-encoding");
                let encoding = encoding.and_then(|value| value.to_str().ok());
                Ok(Response::new(EchoResponse {
                    message: encoding.unwrap_or("nothing").into(),
                }))
            }
            "hang" => {
                let _dropped = Dropped("echo");
                say("started", &[]);
                tokio::time::sleep(Duration::from_secs(3600)).await;
                unreachable!()
            }
            message => Ok(Response::new(EchoResponse {
                message: answer(message, &caller(&request)),
            })),
        }
    }

    type RepeatStream = Answers<RepeatResponse>;

    async fn repeat(
        &self,
        request: Request<RepeatRequest>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let caller = caller(&request);
        let RepeatRequest { message, count } = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            let _dropped = (message == "endless").then(|| Dropped("repeat"));
            for number in 1..=count {
                if message == "paced" && number > 1 {
                    STEPS.acquire().await.expect("it is never closed").forget();
                }
                yield RepeatResponse { message: answer(&message, &caller), number };
            }
            if message == "fail" {
                Err(failure())?;
            }
        })))
    }

    async fn collect(
        &self,
        request: Request<Streaming<CollectRequest>>,
    ) -> Result<Response<CollectResponse>, Status> {
        let caller = caller(&request);
        let mut requests = request.into_inner();
        let mut messages = Vec::new();
        while let Some(CollectRequest { message }) = requests.try_next().await? {
            say("received", &[("message", text(&message))]);
            messages.push(answer(&message, &caller));
            match message.as_str() {
                "enough" => break,
                "refuse" => return Err(failure()),
                _ => {}
            }
        }
        Ok(Response::new(CollectResponse { messages }))
    }

    type ConverseStream = Answers<ConverseResponse>;

    async fn converse(
        &self,
        request: Request<Streaming<ConverseRequest>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let caller = caller(&request);
        let mut requests = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            while let Some(ConverseRequest { message }) = requests.try_next().await? {
                yield ConverseResponse { message: answer(&message, &caller) };
            }
        })))
    }
}

fn failure() -> Status {
    let message = "not today".to_string();
    let detail = Detail {
        type_url: "type.googleapis.com/echo.v1.EchoRequest".into(),
        value: EchoRequest {
            message: "tomorrow".into(),
        }
        .encode_to_vec(),
    };
    let code = Code::FailedPrecondition;
    let status = RpcStatus {
        code: code.into(),
        message: message.clone(),
        details: vec![detail],
    };
    let mut metadata = MetadataMap::new();
    metadata.insert("x-reason", "weather".parse().expect("ASCII"));
    Status::with_details_and_metadata(code, message, status.encode_to_vec().into(), metadata)
}
