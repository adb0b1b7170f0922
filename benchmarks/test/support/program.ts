/** The program `nbdcork-bench` as a process. */
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram, RunningProgram, type StartOptions } from '../../../test/support/program.js';

const programPath = fileURLToPath(
  new URL('../../../../benchmarks/bin/nbdcork-bench.js', import.meta.url),
);

function withCommand(options: StartOptions): StartOptions {
  return { command: [process.execPath, programPath], ...options };
}

export function startBench(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): RunningProgram {
  return new RunningProgram(t, args, withCommand(options));
}

/** Run it to its end. */
export function runBench(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): ReturnType<typeof runProgram> {
  return runProgram(t, args, withCommand(options));
}
