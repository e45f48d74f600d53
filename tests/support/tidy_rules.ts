/**
 * The rules that every file of the project keeps. Each takes a file and returns its faults, as
 * sentences that begin with the place.
 *
 * @module
 */

import { lineAt, readImports, type SourceFile, stripSource } from "./source_file.ts";

/** A rule: the faults that it finds in a file. */
export type TidyRule = (file: SourceFile) => string[];

/** What the root of `src/` may share with the layers. Everything else there joins layers. */
const ROOT_TYPES: readonly string[] = ["options.ts", "errors.ts", "events.ts"];

/** Which other folders of `src/` a folder may import, beside `core/` and the root types. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  edge: ["protocol", "runtime"],
  protocol: [],
  channel: [],
  cluster: ["backplane"],
  backplane: ["runtime"],
  runtime: [],
  client: ["protocol"],
  observe: [],
};

const LINES_PER_FILE_MAX = 500;
const LINES_PER_FUNCTION_MAX = 70;

/** A layer imports what stands to its right, and nothing left of the mesh knows that it is one. */
export const layersHold: TidyRule = ({ path, text }) => {
  if (!path.startsWith("src/")) return [];
  const folder = layerOf(path);
  const faults: string[] = [];
  for (const specifier of readImports(text)) {
    if (specifier.startsWith("node:") || !specifier.startsWith(".")) continue;
    const target = resolvePath(path, specifier);
    if (!target.startsWith("src/")) faults.push(`${path} imports ${target} from outside src/`);
    else if (folder !== "" && !mayImport(folder, target)) {
      faults.push(`${path} imports ${target}, and ${folder}/ must not`);
    }
  }
  return faults;
};

function mayImport(folder: string, target: string): boolean {
  const layer = layerOf(target);
  if (layer === folder || (layer === "core" && folder in LAYERS)) return true;
  if (layer === "") return folder !== "core" && ROOT_TYPES.includes(target.slice("src/".length));
  // The contract of the backplane is for the cluster; its engines are for the root alone.
  if (layer === "backplane" && target !== "src/backplane/backplane.ts") return false;
  return LAYERS[folder]?.includes(layer) ?? false;
}

function layerOf(path: string): string {
  const [, folder = "", rest] = path.split("/");
  return rest === undefined ? "" : folder;
}

function resolvePath(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** What the library imports is its own or, in runtime/ and upgrade_*, the runtime's. */
export const importsAreOwn: TidyRule = ({ path, text }) => {
  if (!/^(src\/|mod\.ts$|client\.ts$)/.test(path)) return [];
  const foreign = readImports(text).filter((name) => !/^(\.\.?\/|node:)/.test(name));
  return foreign.map((name) => `${path} imports ${name}, and the library has no dependencies`);
};

/** A relative import says which file it means, so that every runtime finds it. */
export const importsNameFiles: TidyRule = ({ path, text }) => {
  const relative = readImports(text).filter((name) => name.startsWith("."));
  return relative.filter((name) => !/\.(ts|js|mjs)$/.test(name)).map((name) =>
    `${path} imports ${name} without its ending`
  );
};

const CORES = /^src\/(core|edge\/websocket|protocol|channel|cluster|backplane\/[a-z]+)\//;
const EDGES =
  /(_backplane|_client|\/upgrade_[a-z]+|\/accept|_sweeper|_dialer|_listener|_resolver)\.ts$/;
const IMPURE =
  /(?<![.#\w])(await|async|Promise|setTimeout|setInterval|setImmediate|queueMicrotask|Date|performance|console|globalThis|crypto|fetch|Math\.random)\b/g;

/** A core decides and never does: no promise, timer, clock, chance or log. */
export const coresArePure: TidyRule = (file) => {
  if (!CORES.test(file.path) || EDGES.test(file.path)) return [];
  return findAll(file, IMPURE, (word) => `uses ${word}, and a core is pure`);
};

const RUNTIME_NAMES = /(?<![.#\w])(Deno\b|Bun\b|Buffer\b|process\.\w+|__dirname\b|require\()/g;

/** The name of a runtime appears only where a runtime is met. */
export const runtimesStayApart: TidyRule = (file) => {
  const { path, text } = file;
  if (!/^(src\/|mod\.ts$)/.test(path) || /^src\/(runtime\/|edge\/upgrade_)/.test(path)) return [];
  const builtIns = readImports(text).filter((name) => name.startsWith("node:"));
  return builtIns.map((name) => `${path} imports ${name}, which belongs in src/runtime/`).concat(
    findAll(file, RUNTIME_NAMES, (word) => `names ${word}, which belongs in src/runtime/`),
  );
};

const UNWANTED = /(?::|<|\||&|,|=>|=|\bas)\s*(any)\b(?![\w(:?])|\b(enum|namespace)\s+\w+/g;

/** No `any`, and nothing that has to be compiled rather than erased. */
export const typesAreErasable: TidyRule = (file) => {
  if (!file.path.endsWith(".ts")) return [];
  return findAll(file, UNWANTED, (word) => `has "${word.trim()}"`);
};

const CONSOLE = /\bconsole\.\w+/g;

/** The library logs nothing: what happens is an event, a counter or an error. */
export const libraryIsSilent: TidyRule = (file) => {
  return file.path.startsWith("src/") ? findAll(file, CONSOLE, (word) => `calls ${word}`) : [];
};

/** Files are short enough to be read at once. */
export const filesAreShort: TidyRule = ({ path, text }) => {
  const lines = text.trimEnd().split("\n").length;
  if (!/\.(ts|js|css)$/.test(path) || lines <= LINES_PER_FILE_MAX) return [];
  return [`${path} has ${lines} lines, more than ${LINES_PER_FILE_MAX}`];
};

const FUNCTION_BRACE = /(?:\)|=>|\)\s*:\s*[^;{}()=]+)\s*$/;

/** Functions are short enough to be seen at once. */
export const functionsAreShort: TidyRule = ({ path, text }) => {
  // The function of a contract is a list of tests, and each of them is a function of its own.
  if (!/\.(ts|js)$/.test(path) || path.startsWith("tests/contract/")) return [];
  const { code } = stripSource(text);
  const open: { readonly index: number; readonly isFunction: boolean }[] = [];
  const faults: string[] = [];
  for (const { 0: brace, index } of code.matchAll(/[{}]/g)) {
    if (brace === "{") {
      open.push({
        index,
        isFunction: FUNCTION_BRACE.test(code.slice(Math.max(0, index - 200), index)),
      });
      continue;
    }
    const start = open.pop();
    if (start?.isFunction !== true) continue;
    const lines = code.slice(start.index, index).split("\n").length;
    if (lines <= LINES_PER_FUNCTION_MAX) continue;
    const place = `${path}:${lineAt(code, start.index)}`;
    faults.push(
      `${place} begins a function of ${lines} lines, more than ${LINES_PER_FUNCTION_MAX}`,
    );
  }
  return faults;
};

const FILE_NAME = /^(README\.md|[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z]+)$/;
const VAGUE_NAMES = /^(index|utils?|types?|helpers?|common|misc|lib)(_test)?\.ts$/;

/** A file is named in snake_case for the noun that it defines. */
export const namesAreNouns: TidyRule = ({ path }) => {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!FILE_NAME.test(name)) return [`${path} is not in snake_case`];
  return VAGUE_NAMES.test(name) ? [`${path} is not named for what it defines`] : [];
};

const UNFINISHED = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`, "g");
const MACHINE_PATHS = /(?<![\w.])\/(?:work|root|home|tmp|Users)\/\w*/g;

/** Nothing is left for later without an issue, and no text knows the machine that it was made on. */
export const textsAreFinished: TidyRule = ({ path, text }) => {
  const found = [...text.matchAll(UNFINISHED), ...text.matchAll(MACHINE_PATHS)];
  return found.map(({ 0: word, index }) => `${path}:${lineAt(text, index)} has "${word}"`);
};

function findAll(file: SourceFile, pattern: RegExp, say: (word: string) => string): string[] {
  const { code } = stripSource(file.text);
  return [...code.matchAll(pattern)].map((found) =>
    `${file.path}:${lineAt(code, found.index)} ${say(found.slice(1).find(Boolean) ?? found[0])}`
  );
}
