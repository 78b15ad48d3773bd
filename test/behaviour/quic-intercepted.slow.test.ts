import { generalQuicSubject } from "./quic-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(generalQuicSubject);
