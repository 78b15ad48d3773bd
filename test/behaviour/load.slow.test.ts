import { connectNodeSubject } from "./connect-node-subject.ts";
import { quicSubject } from "./quic-subject.ts";
import { routerSubject } from "./router-subject.ts";
import { behaviourLoadSuite, behaviourSuite } from "./suite.ts";

behaviourSuite(connectNodeSubject("h2c"));
for (const subject of [routerSubject, connectNodeSubject("h2"), quicSubject]) {
  behaviourLoadSuite(subject);
}
