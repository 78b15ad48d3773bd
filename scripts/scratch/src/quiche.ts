import assert from "node:assert/strict";
import { quiche } from "connect-quic/quiche";

// Loads everywhere; the binaries behind it are there for some platforms only.
try {
  assert.equal(quiche().name, "quiche");
} catch (error) {
  assert.match(String(error), /npm install @matrixai\/quic/);
}
