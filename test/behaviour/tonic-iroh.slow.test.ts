import { tonicIrohSubject } from "./quic-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(tonicIrohSubject);
