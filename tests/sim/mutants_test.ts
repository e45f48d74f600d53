import { isOfPresence, MUTANTS } from "./mutant_list.ts";
import { testMutants } from "./mutant_suite.ts";

testMutants(MUTANTS.filter((mutant) => !isOfPresence(mutant)));
