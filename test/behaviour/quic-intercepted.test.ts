import { generalQuicSubject } from "./quic-subject.ts";
import { behaviourSuiteInBrief } from "./suite.ts";

behaviourSuiteInBrief(generalQuicSubject);
