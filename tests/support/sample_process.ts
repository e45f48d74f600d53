/** Says who it is and waits to be ended: the process that `process_test.ts` watches. @module */

import process from "node:process";

const args = process.argv.slice(2);
const print = (line: string): boolean => process.stdout.write(`${line}\n`);

print("first");
print(JSON.stringify({ event: "args", args }));
print(JSON.stringify({ event: "pid", pid: process.pid }));
if (args.includes("exit")) {
  process.stderr.write("to stderr\n");
  process.exitCode = 3;
} else {
  setInterval(() => {}, 1_000);
}
