use hello::HelloRequest;
use hello::hello_service_client::HelloServiceClient;
use iroh::{Endpoint, EndpointAddr, endpoint::presets};
use tonic_iroh_transport::connect_alpn;

#[path = "../hello.v1.rs"] // what tonic-prost-build makes of hello.proto
mod hello;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let server = EndpointAddr::new(args[1].parse()?).with_ip_addr(args[2].parse()?);
    let endpoint = Endpoint::builder(presets::Minimal).bind().await?;
    let channel = connect_alpn(&endpoint, server, b"/hello.v1.HelloService/1.0").await?;
    let mut client = HelloServiceClient::new(channel);
    let response = client.hello(HelloRequest { name: "Ada".into() }).await?;
    println!("{}", response.into_inner().greeting);
    endpoint.close().await;
    Ok(())
}
