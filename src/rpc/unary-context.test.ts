import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createHandlerContext, type HandlerContext } from "@connectrpc/connect";
import { EchoService, echoImplementation } from "../../test/support/echo-service.ts";
import { testPeer } from "../../test/support/rpc-pair.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { UnaryContext } from "./unary-context.ts";
import { readUnaryRequestHead, unaryRoute } from "./unary-route.ts";

function contextOf(): HandlerContext {
  const head = readUnaryRequestHead([
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "peer.example"],
    [":path", "/echo.v1.EchoService/Echo"],
    ["content-type", "application/proto"],
    ["x-custom", "1"],
  ]);
  assert.ok(head !== undefined, "a head that goes the short way");
  const route = unaryRoute(EchoService.method.echo, echoImplementation.echo, {});
  assert.ok(route !== undefined, "a method that has a short way");
  const context = new UnaryContext(route, head, {
    caller: testPeer,
    platform: nodePlatform,
  });
  context.arrived(undefined);
  return context.forHandler();
}

describe("the context of a short call", () => {
  it("has the properties that connect-es gives a handler, and no others", () => {
    const theirs = createHandlerContext({
      service: EchoService,
      method: EchoService.method.echo,
      protocolName: "connect",
      requestMethod: "POST",
      url: "https://peer.example/echo.v1.EchoService/Echo",
    });
    // `abort` is for the framework.
    const expected = Object.keys(theirs).filter((name) => name !== "abort");
    assert.deepEqual(Object.keys(contextOf()).sort(), expected.sort());
    assert.equal(Object.getPrototypeOf(contextOf()), Object.prototype);
  });

  it("gives the same objects each time, also spread", () => {
    const context = contextOf();
    const spread = { ...context };
    for (const name of Object.keys(spread) as (keyof HandlerContext)[]) {
      assert.ok(name in context, name);
      if (name !== "timeoutMs") {
        assert.equal(spread[name], context[name], name);
      }
    }
    assert.equal(spread.url, "https://peer.example/echo.v1.EchoService/Echo");
    assert.equal(spread.requestHeader.get("x-custom"), "1");
    assert.equal(spread.timeoutMs(), undefined);
  });

  it("can be added to, and changed, as an object can", () => {
    const context = contextOf() as HandlerContext & { user?: string };
    assert.equal("user" in context, false);
    context.user = "ada";
    assert.deepEqual(
      [context.user, "user" in context, { ...context }.user, Object.keys(context).at(-1)],
      ["ada", true, "ada", "user"],
    );
    Object.assign(context, { url: "elsewhere" });
    assert.equal(context.url, "elsewhere");
    assert.equal("user" in contextOf(), false);
  });
});
