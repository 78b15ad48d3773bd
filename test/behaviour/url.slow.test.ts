import { behaviourSuite } from "./suite.ts";
import { urlSubject } from "./url-subject.ts";

behaviourSuite(urlSubject);
