use hello::hello_service_server::{HelloService, HelloServiceServer};
use hello::{HelloRequest, HelloResponse};
use iroh::{Endpoint, endpoint::presets};
use tonic::{Request, Response, Status};
use tonic_iroh_transport::{IrohContext, TransportBuilder};

#[path = "../hello.v1.rs"] // what tonic-prost-build makes of hello.proto
mod hello;

struct Hello;

#[tonic::async_trait]
impl HelloService for Hello {
    async fn hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloResponse>, Status> {
        let caller = request
            .extensions()
            .get::<IrohContext>()
            .expect("an iroh connection")
            .node_id;
        let greeting = format!(
            "Hello, {}, alias {}!",
            request.get_ref().name,
            caller.fmt_short()
        );
        Ok(Response::new(HelloResponse { greeting }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = Endpoint::builder(presets::Minimal).bind().await?;
    let _serving = TransportBuilder::new(endpoint.clone())
        .add_rpc(HelloServiceServer::new(Hello))
        .spawn()
        .await?;
    let port = endpoint.bound_sockets()[0].port();
    println!("{} 127.0.0.1:{port}", endpoint.id());
    std::future::pending().await
}
