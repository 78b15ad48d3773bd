import { behaviourSuite } from "./suite.ts";
import { tunnelSubject } from "./tunnel-subject.ts";

behaviourSuite(tunnelSubject("forward", "quic"));
behaviourSuite(tunnelSubject("reverse", "quic"));
behaviourSuite(tunnelSubject("forward", "h2c"));
behaviourSuite(tunnelSubject("reverse", "h2c"));
