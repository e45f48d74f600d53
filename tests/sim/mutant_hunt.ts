import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CURRENT_RUNTIME, ROOT, runtimeCommand } from "../support/runtime_command.ts";
import { applyMutant, type Mutant } from "./mutant_list.ts";

const TIME_LIMIT_MS = 120_000;

/** What became of a mutant. */
export interface MutantVerdict {
  /** The seed that noticed it; `undefined` if none did. */
  readonly seed: number | undefined;
  /** What broke first, or why nothing is known. */
  readonly fault: string;
}

/** Runs the swarm over a copy of the library with one mutant in it, up to the first fault. */
export function hunt(mutant: Mutant): MutantVerdict {
  const folder = mkdtempSync(join(tmpdir(), "chorus-mutant-"));
  try {
    for (const part of ["src", "tests/sim", "tests/support"]) {
      cpSync(`${ROOT}${part}`, join(folder, part), { recursive: true });
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
    const path = join(folder, mutant.file);
    writeFileSync(path, applyMutant(mutant, readFileSync(path, "utf8")));
    return runSwarm(folder, mutant);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runSwarm(folder: string, mutant: Mutant): MutantVerdict {
  const [command, ...before] = runtimeCommand(CURRENT_RUNTIME);
  const args = [...before, "tests/sim/swarm.ts", "--seeds", String(mutant.seeds), "--until-fault"];
  const { stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: TIME_LIMIT_MS,
  });
  if (error !== undefined) return { seed: undefined, fault: error.message };
  const [, seed, fault] = /^seed (\d+): .*\n {2}(.*)$/m.exec(stdout) ?? [];
  if (seed !== undefined) return { seed: Number(seed), fault: fault! };
  return { seed: undefined, fault: stderr || "nothing was noticed" };
}
