import { deepStrictEqual, match, ok } from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { CURRENT_RUNTIME, ROOT, runtimeBinary, runtimeCommand } from "./support/runtime_command.ts";
import { readSource } from "./support/source_file.ts";

const run = promisify(execFile);
const RUN_TIME_LIMIT_MS = 60_000;

interface Block {
  /** What stands behind the fence: `["ts", "runnable"]`. */
  readonly words: readonly string[];
  readonly text: string;
  readonly line: number;
}

function readBlocks(path: string): Block[] {
  const { text } = readSource(path);
  return [...text.matchAll(/^```(\S[^\n]*)\n([\s\S]*?)^```$/gm)].map((found) => ({
    words: found[1]!.split(/[ ,]+/),
    text: found[2]!,
    line: text.slice(0, found.index).split("\n").length,
  }));
}

const BLOCKS = readBlocks("README.md");
const PROGRAMS = BLOCKS.filter(({ words }) => words[0] === "ts");

/** Writes programs as files that import this very source, and removes them afterwards. */
async function withFiles(
  blocks: readonly Block[],
  body: (paths: readonly string[], folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "chorus-readme-"));
  const entry = pathToFileURL(`${ROOT}mod.ts`).href;
  try {
    const paths = blocks.map(({ text, line }) => {
      const path = join(folder, `line_${line}.mts`);
      writeFileSync(path, text.replaceAll(/"(jsr:)?@chorus\/cluster"/g, `"${entry}"`));
      return path;
    });
    await body(paths, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const skip = CURRENT_RUNTIME === "deno" ? false : "types are the same everywhere: checked on Deno";

test("the README's programs have correct types", { skip }, async () => {
  ok(PROGRAMS.length > 0);
  await withFiles(PROGRAMS, async (paths, folder) => {
    const config = join(folder, "deno.json");
    writeFileSync(config, JSON.stringify({ compilerOptions: { strict: true } }));
    await run(runtimeBinary("deno"), ["check", "--config", config, ...paths]);
  });
});

for (const block of PROGRAMS.filter(({ words }) => words.includes("runnable"))) {
  test(`the README's program in line ${block.line} runs and ends by itself`, async () => {
    await withFiles([block], async ([path = ""]) => {
      const [binary, ...args] = runtimeCommand(CURRENT_RUNTIME);
      await run(binary, [...args, path], { cwd: ROOT, timeout: RUN_TIME_LIMIT_MS });
    });
  });
}

for (const path of ["README.md", "CONTRIBUTING.md", "bench/README.md"]) {
  test(`the commands in ${path} name what is there`, () => {
    const blocks = readBlocks(path).filter(({ words }) => words[0] === "sh");
    const commands = blocks.flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"));
    ok(commands.length > 0);
    deepStrictEqual(commands.filter((command) => command !== "" && !isKnown(command)), []);
  });
}

test("deno task demo starts the demo, with the development tools installed or without", async () => {
  const path = `${dirname(runtimeBinary("deno"))}:${process.env["PATH"] ?? ""}`;
  const { stdout } = await run(runtimeBinary("deno"), ["task", "demo", "--help"], {
    cwd: ROOT,
    env: { ...process.env, PATH: path },
  });
  match(stdout, /^Three Chorus nodes/m);
});

const SCRIPTS = JSON.parse(readSource("package.json").text).scripts as Record<string, string>;
const TASKS = JSON.parse(readSource("deno.json").text).tasks as Record<string, string>;

/** The commands that a reader is told to type, by how they begin. */
const COMMANDS: readonly (readonly [RegExp, (word: string) => boolean])[] = [
  [/^npm ci$/, () => true],
  [/^npm (test|start)\b/, (word) => word in SCRIPTS],
  [/^npm run (\S+)/, (word) => word in SCRIPTS],
  [/^deno task (\S+)/, (word) => word in TASKS],
  [
    /^(?:bun|npx tsx|deno run --allow-all|deno test --allow-all) (\S+)/,
    (word) => existsSync(ROOT + word),
  ],
  [/^(?:deno add|bunx jsr add|npx jsr add) (?:jsr:)?(@chorus\/cluster)$/, () => true],
  [/^curl http:\/\/127\.0\.0\.1:8080\/(\S+)$/, (word) => /^(healthz|readyz|stats)$/.test(word)],
];

function isKnown(command: string): boolean {
  return COMMANDS.some(([pattern, isThere]) => {
    const found = pattern.exec(command.trim());
    return found !== null && isThere(found[1] ?? "");
  });
}
