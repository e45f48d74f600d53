/**
 * Source text as the rules of `tidy_test.ts` see it: with comments gone, and with or without what
 * stands in strings. Lines stay where they are, so that a fault can be pointed at.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { ROOT } from "./runtime_command.ts";

/** One file of the project. */
export interface SourceFile {
  /** Relative to the project's folder: `src/core/machine.ts`. */
  readonly path: string;
  /** Its content. */
  readonly text: string;
}

/** Reads all files below a folder of the project, sorted by path. */
export function readFolder(folder: string): SourceFile[] {
  return readdirSync(`${ROOT}${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? readFolder(path) : [readSource(path)];
  }).sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Reads one file of the project. */
export function readSource(path: string): SourceFile {
  return { path, text: readFileSync(`${ROOT}${path}`, "utf8") };
}

/** Returns the number of the line in which the character at `index` stands, from 1. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** What a source text is made of. */
export interface StrippedSource {
  /** Without comments. */
  readonly withStrings: string;
  /** Without comments, and with blanks for what stands in strings and patterns. */
  readonly code: string;
}

// A comment, a string, a pattern, or one character. A slash begins a pattern where no value can
// have ended just before it. Template texts are matched piece by piece: up to `${`, and from `}`.
const TOKEN =
  /(\/\/[^\n]*|\/\*[\s\S]*?\*\/)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*)|(`|\}|\{)|[\s\S]/g;
const TEMPLATE_TEXT = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(`|\$\{|$)/y;
const VALUE_BEFORE = /[\w$)\]}]\s*$/;
const KEYWORD_BEFORE = /\b(return|typeof|case|in|of|void|delete|await|yield)\s*$/;

/** Takes a source text apart. */
export function stripSource(text: string): StrippedSource {
  const braces: ("{" | "${")[] = [];
  let withStrings = "";
  let code = "";
  let index = 0;
  const keep = (piece: string, inCode: string): void => {
    withStrings += piece;
    code += inCode;
  };
  const keepTemplateText = (from: number): number => {
    TEMPLATE_TEXT.lastIndex = from;
    const [piece = "", end] = TEMPLATE_TEXT.exec(text) ?? [];
    if (end === "${") braces.push("${");
    keep(piece, blank(piece, end ?? ""));
    return from + piece.length;
  };
  while (index < text.length) {
    TOKEN.lastIndex = index;
    const [token = "", comment, string, pattern, mark] = TOKEN.exec(text) ?? [];
    index += token.length;
    if (comment !== undefined) keep(blank(comment), blank(comment));
    else if (string !== undefined) keep(string, `"${blank(string.slice(2))}"`);
    else if (pattern !== undefined && endsValue(code)) {
      keep("/", "/");
      index -= pattern.length - 1;
    } else if (pattern !== undefined) keep(pattern, blank(pattern));
    else keep(token, token);
    if (mark === "{") braces.push("{");
    if (mark === "`" || (mark === "}" && braces.pop() === "${")) index = keepTemplateText(index);
  }
  return { withStrings, code };
}

function endsValue(code: string): boolean {
  const tail = code.slice(-80);
  return VALUE_BEFORE.test(tail) && !KEYWORD_BEFORE.test(tail);
}

function blank(text: string, kept = ""): string {
  return text.slice(0, text.length - kept.length).replace(/[^\n]/g, " ") + kept;
}

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g;

/** Returns what a source text imports, as it is written. */
export function readImports(text: string): string[] {
  const { withStrings, code } = stripSource(text);
  const found = [...withStrings.matchAll(IMPORT)];
  // An import that is itself part of a string has left no trace in the code.
  return found.filter(({ index }) => code[index] !== " ").map(([, specifier]) => specifier!);
}
