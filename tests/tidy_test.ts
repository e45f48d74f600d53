import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { ROOT } from "./support/runtime_command.ts";
import { readFolder, readSource, type SourceFile } from "./support/source_file.ts";
import * as rules from "./support/tidy_rules.ts";

const ROOT_TESTS: readonly string[] = ["api_test.ts", "readme_test.ts", "tidy_test.ts"];
const FREE_FOLDERS = /^tests\/(contract|live|fuzz|sim|support)\//;

const FOLDERS = ["src", "tests", "demo", "bench", ".ci"].filter((name) => existsSync(ROOT + name));
const FILES: readonly SourceFile[] = [
  ...FOLDERS.flatMap(readFolder),
  ...readdirSync(ROOT).filter((name) => /\.(ts|md|json)$/.test(name)).map(readSource),
];
const NAMED_FILES = FILES.filter(({ path }) => /^(src|tests|demo|bench)\//.test(path));
const CODE_FILES = FILES.filter(({ path }) => /\.(ts|js)$/.test(path));

/** For each rule the files that it is for, samples that break it, and samples that keep it. */
const RULES: readonly {
  readonly promise: string;
  readonly rule: rules.TidyRule;
  readonly files: readonly SourceFile[];
  readonly breaking: readonly (readonly [path: string, text: string])[];
  readonly keeping: readonly (readonly [path: string, text: string])[];
}[] = [
  {
    promise: "a layer imports core/, the root types and what stands to its right",
    rule: rules.layersHold,
    files: CODE_FILES,
    breaking: [
      ["src/core/a.ts", `import { b } from "../options.ts";`],
      ["src/runtime/a.ts", `import type { B } from "../backplane/backplane.ts";`],
      ["src/cluster/a.ts", `import { b } from "../channel/hub.ts";`],
      ["src/channel/a.ts", `import { b } from "../protocol/codec.ts";`],
      ["src/protocol/a.ts", `export { b } from "../cluster/router.ts";`],
      ["src/cluster/a.ts", `import { b } from "../backplane/mesh/link.ts";`],
      ["src/edge/websocket/a.ts", `import { b } from "../../channels.ts";`],
      ["src/backplane/redis/a.ts", `import { b } from "../../cluster/router.ts";`],
      ["src/channels.ts", `import { b } from "../tests/support/client.ts";`],
    ],
    keeping: [
      ["src/channels.ts", `import { b } from "./cluster/router.ts";`],
      ["src/cluster/a.ts", `import { b } from "../backplane/backplane.ts";`],
      ["src/cluster/a.ts", `import { b } from "../core/node.ts";`],
      ["src/edge/websocket/a.ts", `import { b } from "../../errors.ts";`],
      ["src/backplane/mesh/a.ts", `import { b } from "../../runtime/tcp.ts";`],
      ["src/core/a.ts", `// import { b } from "../options.ts";`],
    ],
  },
  {
    promise: "the library has no dependencies",
    rule: rules.importsAreOwn,
    files: CODE_FILES,
    breaking: [
      ["src/a.ts", `import { b } from "npm:ws";`],
      ["mod.ts", `export { b } from "jsr:@std/assert";`],
      ["src/runtime/a.ts", `const b = await import("ws");`],
    ],
    keeping: [["src/runtime/a.ts", `import { b } from "node:net";`]],
  },
  {
    promise: "a relative import names its file",
    rule: rules.importsNameFiles,
    files: CODE_FILES,
    breaking: [["tests/a.ts", `import { b } from "./b";`]],
    keeping: [["tests/a.ts", `import { b } from "./b.ts";`]],
  },
  {
    promise: "a core is pure",
    rule: rules.coresArePure,
    files: CODE_FILES,
    breaking: [
      ["src/core/a.ts", "const a = async () => {};"],
      ["src/protocol/a.ts", "const a = Date.now();"],
      ["src/channel/a.ts", "setTimeout(() => {}, 1);"],
      ["src/cluster/a.ts", "const a = `${Math.random()}`;"],
      ["src/edge/websocket/a.ts", "crypto.subtle;"],
      ["src/backplane/mesh/a.ts", "const a = performance.now();"],
      ["src/backplane/redis/a.ts", "globalThis.a;"],
    ],
    keeping: [
      ["src/core/a.ts", "// await nothing\nconst a = 'Date';"],
      ["src/core/a.ts", "const a = clock.performance;"],
      ["src/backplane/mesh/mesh_backplane.ts", "await a;"],
      ["src/edge/upgrade_node.ts", "await a;"],
    ],
  },
  {
    promise: "a runtime's name appears only where the runtime is met",
    rule: rules.runtimesStayApart,
    files: CODE_FILES,
    breaking: [
      ["src/serve.ts", "Deno.serve({});"],
      ["src/edge/accept.ts", "Bun.serve({});"],
      ["src/cluster/a.ts", "process.pid;"],
      ["src/core/a.ts", "Buffer.from([]);"],
      ["src/core/a.ts", `import { b } from "node:net";`],
    ],
    keeping: [
      ["src/runtime/tcp_deno.ts", "Deno.connect({});"],
      ["src/edge/upgrade_bun.ts", "Bun.serve({});"],
      ["src/serve.ts", "// On Deno as on Bun."],
    ],
  },
  {
    promise: "types are complete and erasable",
    rule: rules.typesAreErasable,
    files: CODE_FILES,
    breaking: [
      ["tests/a.ts", "const a: any = 1;"],
      ["tests/a.ts", "const a = b as any;"],
      ["tests/a.ts", "type A = Array<any>;"],
      ["tests/a.ts", "enum A { b }"],
      ["tests/a.ts", "namespace A { }"],
    ],
    keeping: [
      ["tests/a.ts", "const any: unknown = Promise.any([]); // any"],
      ["tests/a.ts", `const a = "enum A";`],
    ],
  },
  {
    promise: "the library writes to no console",
    rule: rules.libraryIsSilent,
    files: CODE_FILES,
    breaking: [["src/a.ts", "console.log(1);"]],
    keeping: [["demo/a.ts", "console.log(1);"], ["src/a.ts", "// console.log(1);"]],
  },
  {
    promise: "files are short",
    rule: rules.filesAreShort,
    files: FILES,
    breaking: [["src/a.ts", "a\n".repeat(501)]],
    keeping: [["src/a.ts", "a\n".repeat(500)], ["package-lock.json", "a\n".repeat(501)]],
  },
  {
    promise: "functions are short",
    rule: rules.functionsAreShort,
    files: CODE_FILES,
    breaking: [
      ["src/a.ts", `function a(): void {${"\n".repeat(70)}}`],
      ["src/a.ts", `class A {\n  get b(): Map<string, number> {${"\n".repeat(70)}}\n}`],
      ["src/a.ts", `const a = () => {${"\n  if (b) {\n  }".repeat(40)}\n}`],
    ],
    keeping: [
      ["src/a.ts", `function a(): void {${"\n".repeat(69)}}`],
      ["src/a.ts", `class A {${"\n".repeat(90)}}`],
      ["src/a.ts", `const a = {${"\n".repeat(90)}};`],
    ],
  },
  {
    promise: "a file is named for the noun that it defines",
    rule: rules.namesAreNouns,
    files: NAMED_FILES,
    breaking: [
      ["src/core/ByteQueue.ts", ""],
      ["src/core/byte-queue.ts", ""],
      ["src/index.ts", ""],
      ["tests/support/utils.ts", ""],
      ["src/core/types.ts", ""],
    ],
    keeping: [["src/core/byte_queue.ts", ""], ["src/README.md", ""], ["demo/page/style.css", ""]],
  },
  {
    promise: "texts are finished and know no machine",
    rule: rules.textsAreFinished,
    files: FILES.filter(({ path }) => path !== "tests/tidy_test.ts"),
    breaking: [
      ["README.md", ["TO", "DO: more"].join("")],
      ["src/a.ts", ["// FIX", "ME"].join("")],
      ["bench/README.md", "run /work/main/bench"],
      ["demo/node.ts", `const a = "/tmp/x";`],
    ],
    keeping: [["README.md", "a todo list, https://example.org/home/ and src/tmp/x"]],
  },
];

for (const { promise, rule, files, breaking, keeping } of RULES) {
  test(`${promise}: the rule finds what breaks it`, () => {
    for (const [path, text] of breaking) {
      strictEqual(rule({ path, text }).length > 0, true, `${path}: ${text} breaks it`);
    }
    for (const [path, text] of keeping) deepStrictEqual(rule({ path, text }), []);
  });

  test(`${promise}: the project keeps the rule`, () => {
    ok(files.length > 0);
    deepStrictEqual(files.flatMap(rule), []);
  });
}

test("a test stands where its source stands", () => {
  const sources = new Set(FILES.map(({ path }) => path));
  const orphans = FILES.map(({ path }) => path).filter((path) => {
    if (!path.endsWith("_test.ts") || FREE_FOLDERS.test(path)) return false;
    if (ROOT_TESTS.includes(path.slice("tests/".length))) return false;
    return !sources.has(path.replace(/^tests\//, "src/").replace(/_test\.ts$/, ".ts"));
  });
  deepStrictEqual(orphans, []);
});

test("the manifests agree, and name no dependency", () => {
  const [forDeno, forNpm] = ["deno.json", "package.json"].map((path) =>
    JSON.parse(readSource(path).text) as Readonly<Record<string, unknown>>
  );
  for (const key of ["name", "version", "license", "exports"]) {
    const [a, b] = [forDeno, forNpm].map((manifest) => {
      const value = manifest?.[key];
      return typeof value === "string" ? { ".": value } : value;
    });
    deepStrictEqual(a, b, key);
  }
  strictEqual(forNpm?.["dependencies"], undefined);
  const lock = readSource("package-lock.json").text;
  ok(!lock.includes(`"resolved"`), "the lock file names no registry's host");
  match(readSource("CHANGELOG.md").text, new RegExp(`^## ${forNpm?.["version"]}\\b`, "m"));
});
