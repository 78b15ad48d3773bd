import { connectNodeSubject } from "./connect-node-subject.ts";
import { routerSubject } from "./router-subject.ts";
import { behaviourLoadSuite } from "./suite.ts";

for (const subject of [routerSubject, connectNodeSubject("h2")]) {
  behaviourLoadSuite(subject);
}
