import { quicSubject } from "./quic-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(quicSubject);
