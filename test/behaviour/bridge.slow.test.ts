import { connectNodeSubject } from "./connect-node-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(connectNodeSubject("bridge"));
