import type { RoundResult } from "./fault_round.ts";

const COLUMNS: readonly (readonly [title: string, show: (result: RoundResult) => string])[] = [
  ["link", ({ link }) => link],
  ["nodes", ({ mix }) => mix],
  ["fault", ({ fault }) => fault],
  ["published", ({ published }) => String(published)],
  ["delivered", ({ delivered }) => String(delivered)],
  ["repaired", ({ repaired }) => String(repaired)],
  ["gaps", ({ gaps }) => String(gaps)],
  ["changes", ({ changes }) => String(changes)],
  ["noticed", ({ noticedMs }) => showMs(noticedMs)],
  ["purged", ({ purgedMs }) => showMs(purgedMs)],
  ["converged", ({ convergedMs }) => showMs(convergedMs)],
  ["slowest", ({ slowestMs }) => showMs(slowestMs)],
  ["untouched", ({ bystanderMs }) => bystanderMs === 0 ? "-" : showMs(bystanderMs)],
  ["holds", ({ findings }) => findings.length === 0 ? "yes" : "NO"],
];

/** Writes results as a table, in Markdown. */
export function formatTable(results: readonly RoundResult[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...results.map((result) => COLUMNS.map(([, show]) => show(result))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const [head, ...body] = rows.map((row) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`
  );
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [head, rule, ...body].join("\n");
}

function showMs(ms: number | undefined): string {
  return ms === undefined ? "-" : `${Math.round(ms)} ms`;
}
