import { connectNodeSubject } from "./connect-node-subject.ts";
import { generalQuicSubject, quicSubject } from "./quic-subject.ts";
import { routerSubject } from "./router-subject.ts";
import { behaviourLoadSuite, behaviourSuite } from "./suite.ts";
import { urlSubject } from "./url-subject.ts";

for (const subject of [
  connectNodeSubject("h2c"),
  connectNodeSubject("bridge"),
  generalQuicSubject,
  urlSubject,
]) {
  behaviourSuite(subject);
}
for (const subject of [routerSubject, connectNodeSubject("h2"), quicSubject]) {
  behaviourLoadSuite(subject);
}
