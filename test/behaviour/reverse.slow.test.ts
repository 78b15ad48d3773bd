import { reverseSubject } from "./reverse-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(reverseSubject);
