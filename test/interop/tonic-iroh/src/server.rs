//! The echo service. What a call is about is said by its message.

use crate::echo::echo_service_server::{EchoService, EchoServiceServer};
use crate::echo::*;
use crate::{Detail, Failure, RpcStatus, say, text};
use iroh::Endpoint;
use prost::Message;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_iroh_transport::{IrohContext, TransportBuilder};

pub async fn serve(endpoint: Endpoint) -> Result<(), Failure> {
    let guard = TransportBuilder::new(endpoint.clone())
        .add_rpc(EchoServiceServer::new(Echo))
        .spawn()
        .await?;
    let address = endpoint.bound_sockets()[0];
    say(
        "serving",
        &[("id", text(endpoint.id())), ("address", text(address))],
    );
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    guard.shutdown().await?;
    Ok(())
}

struct Echo;

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

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        match request.get_ref().message.as_str() {
            "who am I" => Ok(Response::new(EchoResponse {
                message: caller(&request),
            })),
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
            "hang" => {
                let _dropped = Dropped("echo");
                say("started", &[]);
                tokio::time::sleep(Duration::from_secs(3600)).await;
                unreachable!()
            }
            _ => Ok(Response::new(EchoResponse {
                message: request.into_inner().message,
            })),
        }
    }

    type RepeatStream = Answers<RepeatResponse>;

    async fn repeat(
        &self,
        request: Request<RepeatRequest>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let RepeatRequest { message, count } = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            let _dropped = (message == "endless").then(|| Dropped("repeat"));
            for number in 1..=count {
                yield RepeatResponse { message: message.clone(), number };
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
        let mut requests = request.into_inner();
        let mut messages = Vec::new();
        while let Some(CollectRequest { message }) = requests.try_next().await? {
            messages.push(message);
        }
        Ok(Response::new(CollectResponse { messages }))
    }

    type ConverseStream = Answers<ConverseResponse>;

    async fn converse(
        &self,
        request: Request<Streaming<ConverseRequest>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let mut requests = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            while let Some(ConverseRequest { message }) = requests.try_next().await? {
                yield ConverseResponse { message };
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
