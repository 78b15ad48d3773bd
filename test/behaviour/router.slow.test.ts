import { routerSubject } from "./router-subject.ts";
import { behaviourSuite } from "./suite.ts";

behaviourSuite(routerSubject);
