import { noq } from "../../src/engine/noq/noq.ts";
import { engineSuite } from "../support/engine-suite.ts";

engineSuite("noq", () => ({ client: noq, server: noq }), false);
