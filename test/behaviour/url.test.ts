import { behaviourSuiteInBrief } from "./suite.ts";
import { urlSubject } from "./url-subject.ts";

behaviourSuiteInBrief(urlSubject);
