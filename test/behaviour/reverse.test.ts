import { nearReverseSubject } from "./reverse-subject.ts";
import { behaviourSample } from "./suite.ts";

behaviourSample(nearReverseSubject);
