import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { addTallies, countTests, EMPTY_TALLY, formatTally } from "./test_report.ts";

const NODE = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
  <testcase name="one" time="0.005817" classname="test"/>
  <testcase name="two &lt;testcase" time="0.002211" classname="test" failure="1 !== 2">
    <failure type="testCodeFailure" message="1 !== 2">[Error [ERR_TEST_FAILURE]: 1 !== 2]</failure>
  </testcase>
  <testcase name="three" time="0.000106" classname="test">
    <skipped type="skipped" message="because"/>
  </testcase>
  <!-- tests 3 -->
</testsuites>`;

const BUN = `<testsuites name="bun test" tests="2" assertions="0" failures="0" skipped="1">
  <testsuite name="a_test.ts" file="a_test.ts" tests="2" failures="0" skipped="1">
    <testcase name="one" classname="" time="0.0096" file="a_test.ts" line="3" assertions="0" />
    <testcase name="two" classname="" time="0" file="a_test.ts" line="5"><skipped /></testcase>
  </testsuite>
</testsuites>`;

const DENO = `<testsuites name="deno test" tests="1" failures="0" errors="0" time="0.017">
    <testsuite name="./a_test.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="one" classname="./a_test.ts" time="0.007" line="3" col="1">
        </testcase>
    </testsuite>
</testsuites>`;

test("the reports of the three runtimes are counted", () => {
  deepStrictEqual(countTests(NODE, false), { passed: 1, failed: 1, skipped: 1 });
  deepStrictEqual(countTests(BUN, true), { passed: 1, failed: 0, skipped: 1 });
  deepStrictEqual(countTests(DENO, true), { passed: 1, failed: 0, skipped: 0 });
});

test("a runner that fails without a failed test counts as a failure", () => {
  deepStrictEqual(countTests(DENO, false), { passed: 1, failed: 1, skipped: 0 });
  deepStrictEqual(countTests("", false), { passed: 0, failed: 1, skipped: 0 });
});

test("a file without a test counts as a failure", () => {
  deepStrictEqual(countTests("<testsuites></testsuites>", true), {
    passed: 0,
    failed: 1,
    skipped: 0,
  });
});

test("tallies add up to the closing line", () => {
  const tallies = [countTests(NODE, false), countTests(BUN, true), EMPTY_TALLY];
  strictEqual(formatTally(addTallies(tallies)), "2 passed, 1 failed, 2 skipped");
});
