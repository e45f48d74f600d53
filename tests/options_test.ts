import { doesNotThrow, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import {
  requireBoolean,
  requireHook,
  requireInteger,
  requireKnown,
  requireText,
} from "../src/options.ts";

const RANGE = { min: 1, max: 10 };
const EXPECTED = 'Cannot configure mesh: "size" must be an integer from 1 to 10, received ';

const REFUSED: readonly (readonly [value: unknown, error: string, shown: string])[] = [
  [0, "RangeError", "0"],
  [11, "RangeError", "11"],
  [1.5, "RangeError", "1.5"],
  [NaN, "RangeError", "NaN"],
  [Infinity, "RangeError", "Infinity"],
  ["5", "TypeError", '"5"'],
  [null, "TypeError", "null"],
  [undefined, "TypeError", "undefined"],
  [5n, "TypeError", "5"],
];

for (const [value, name, shown] of REFUSED) {
  test(`requireInteger refuses ${typeof value} ${shown} by name, with what it expects`, () => {
    throws(() => requireInteger("mesh", "size", value, RANGE), { name, message: EXPECTED + shown });
  });
}

test("requireInteger gives back the ends of its range", () => {
  strictEqual(requireInteger("mesh", "size", 1, RANGE), 1);
  strictEqual(requireInteger("mesh", "size", 10, RANGE), 10);
});

test("requireText and requireBoolean give back what they ask for, and refuse the rest", () => {
  strictEqual(requireText("mesh", "secret", "s"), "s");
  strictEqual(requireBoolean("mesh", "insecure", false), false);
  for (const value of ["", 1, null]) {
    throws(() => requireText("mesh", "secret", value), {
      name: "TypeError",
      message: /"secret" must be a string that is not empty, received/,
    });
  }
  for (const value of ["true", 1, null]) {
    throws(() => requireBoolean("mesh", "insecure", value), {
      name: "TypeError",
      message: /"insecure" must be true or false, received/,
    });
  }
});

test("requireHook takes a function or nothing, and refuses the rest", () => {
  doesNotThrow(() => requireHook("endpoint", "authorize", () => true));
  doesNotThrow(() => requireHook("endpoint", "authorize", undefined));
  for (const value of [true, "deny", null, {}]) {
    throws(() => requireHook("endpoint", "authorize", value), {
      name: "TypeError",
      message: /"authorize" must be a function, received/,
    });
  }
});

test("requireKnown names the option that is misspelt and those that there are", () => {
  doesNotThrow(() => requireKnown("mesh", { port: 1 }, ["port", "host"]));
  for (const options of [null, undefined, "port", 1]) {
    throws(() => requireKnown("mesh", options, ["port"]), {
      name: "TypeError",
      message: /^Cannot configure mesh: options must be an object, received /,
    });
  }
  throws(() => requireKnown("mesh", { prot: 1 }, ["port", "host"]), {
    name: "TypeError",
    message: 'Cannot configure mesh: "prot" is not an option, expected one of port, host',
  });
});
