import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { lineAt, readImports, stripSource } from "./source_file.ts";

const CASES: readonly (readonly [source: string, code: string])[] = [
  ["a; // note", "a;        "],
  ["a /* b\nc */ d", "a     \n     d"],
  ["x = 'it' + \"//\";", 'x = "  " + "  ";'],
  ['x = "a\\"b"; y', 'x = "    "; y'],
  ["x = `a ${ b } c`; d", "x = `  ${ b }  `; d"],
  ["x = `a ${ `${b}` } //`; d", "x = `  ${ `${b}` }   `; d"],
  ['x = /[/"]/g; y', "x =        ; y"],
  ["x = a / b / c;", "x = a / b / c;"],
  ["x = (a) / 2; // half", "x = (a) / 2;        "],
  ["return /'/.test(x)", "return    .test(x)"],
  ["if (a) { b } // c\n`}`", "if (a) { b }     \n` `"],
];

for (const [source, code] of CASES) {
  test(`stripSource() keeps the code of ${JSON.stringify(source)}`, () => {
    strictEqual(stripSource(source).code, code);
    strictEqual(stripSource(source).withStrings.length, source.length);
  });
}

test("readImports() finds every form of import and passes over comments", () => {
  const source = `import a from "./a.ts";
import type { B } from "./b.ts";
import "./c.ts";
export { d } from "./d.ts";
export * from "./e.ts";
const f = await import("./f.ts");
// import g from "./g.ts";
const g = 'import g from "./g.ts"';
import {
  h,
} from "./h.ts";`;
  const names = ["a", "b", "c", "d", "e", "f", "h"];
  deepStrictEqual(readImports(source), names.map((name) => `./${name}.ts`));
});

test("lineAt() counts from one", () => {
  deepStrictEqual([0, 1, 2, 3].map((index) => lineAt("a\nb\nc", index)), [1, 1, 2, 2]);
});
