// Calls to the peers of a service: which one gets them, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Fleet, readyCount, whoAnswers } from "./fleet.ts";

test("round-robin goes around, and takes in who comes", (t) =>
  Fleet.play(t, async (fleet) => {
    await fleet.serveAll("abc");
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    const names = await whoAnswers(client, 9);
    assert.deepEqual([...names.slice(0, 3)].sort(), ["a", "b", "c"]);
    assert.deepEqual(names.slice(3, 6), names.slice(0, 3));
    assert.deepEqual(names.slice(6, 9), names.slice(0, 3));
    await fleet.serveAll("d");
    await fleet.until(() => readyCount(transport) === 4);
    assert.equal((await whoAnswers(client, 1))[0], "d");
    assert.deepEqual(fleet.source.watched, ["echo.v1.EchoService"]);
  }));
