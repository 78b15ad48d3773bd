import { engineSuite } from "../../../test/support/engine-suite.ts";
import { quicheOrReason } from "../../../test/support/quiche-or-reason.ts";

const { engine, skip } = quicheOrReason();

engineSuite("quiche", () => ({ client: engine(), server: engine() }), skip);
