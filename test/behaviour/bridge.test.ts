import { connectNodeSubject } from "./connect-node-subject.ts";
import { behaviourSuiteInBrief } from "./suite.ts";

behaviourSuiteInBrief(connectNodeSubject("bridge"));
