/** The program `nbdcork-bench`. */
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { codeOf, messageOf } from '../../lib/errors.js';
import { exitCode } from '../../lib/cli/exit-codes.js';
import { onStopSignal, statusOf } from '../../lib/cli/signals.js';
import { packageVersion } from '../measure/machine.js';
import { runsMin } from '../measure/plan.js';
import { runBenchmark } from './run-benchmark.js';

interface Flags {
  readonly all?: true;
  readonly load: 'nbdcork' | 'fio';
  readonly runs?: number;
  readonly seconds?: number;
  readonly limit?: string;
  readonly output: string;
}

const help = `
Words:
  unix, unix-tls, tcp, tcp-tls, pipe, veth                  links
  read-4k, read-64k, mixed-4k, extents, read-512            kinds of requests
  depth=1, depth=64, connections=1, connections=8           requests in flight per connection, connections
  simple, structured, extended                              reply headers
  plain, cork, more, vectored, batched, stream              strategies
  sends                                                     like more, but without MSG_MORE
  nbdkit, qemu-nbd, nbd-server, limit                       other servers
  micro                                                     single calls

Examples:
  nbdcork-bench                            4 KiB reads over every link: up to three minutes
  nbdcork-bench tcp veth read-4k           4 KiB reads over TCP
  nbdcork-bench batched nbdkit depth=64    one strategy and one other server
  nbdcork-bench --all --output results     everything: one to two hours`;

const program = new Command('nbdcork-bench')
  .description('Compare the ways to send NBD replies, and other NBD servers, on this machine.')
  .version(packageVersion(), '-V, --version')
  .argument('[word...]', 'what to measure; each group without a word uses its default')
  .option('-a, --all', 'measure everything that the words do not exclude')
  .option(
    '--runs <count>',
    `runs of each candidate, at least ${runsMin}; the first is discarded (default: 10; without --all as many as fit in three minutes, and more where the result is uncertain)`,
    parseRuns,
  )
  .option(
    '--seconds <seconds>',
    'duration of a run (default: 0.2, or 0.15 with --all)',
    parseSeconds,
  )
  .option(
    '--limit <path>',
    'a minimal server that shows the upper limit, started as PATH unix:SOCKET or PATH tcp:PORT',
    (path) => resolve(path),
  )
  .addOption(
    new Option('--load <load>', 'load generator').choices(['nbdcork', 'fio']).default('nbdcork'),
  )
  .option(
    '-o, --output <folder>',
    'folder of the report; an existing report is replaced',
    parseFolder,
    'bench-report',
  )
  .addHelpText('after', help)
  .showHelpAfterError('(run nbdcork-bench --help for usage)')
  .exitOverride()
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = statusOfFailure(error);
}

function statusOfFailure(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed the help or the error.
    return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  }
  const code = codeOf(error);
  const suffix = code === undefined ? '' : ` (${code})`;
  process.stderr.write(`nbdcork-bench: ${messageOf(error)}${suffix}\n`);
  return code === 'NBDCORK_BAD_SELECTION' ? exitCode.usage : exitCode.failure;
}

async function run(words: string[], flags: Flags): Promise<void> {
  const stopping = new AbortController();
  let stoppedBy: NodeJS.Signals = 'SIGINT';
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy = signal;
    stopping.abort();
  };
  onStopSignal(stop);
  // Closing the terminal must not leave a network namespace or a folder behind.
  process.on('SIGHUP', stop);
  const { all = false, ...options } = flags;
  const command = ['nbdcork-bench', ...process.argv.slice(2)].join(' ');
  const outcome = await runBenchmark({ ...options, words, all, command, signal: stopping.signal });
  if (outcome === 'failed') process.exitCode = exitCode.failure;
  if (outcome === 'interrupted') process.exitCode = statusOf(stoppedBy);
}

function parseRuns(text: string): number {
  const runs = Number(text);
  if (Number.isInteger(runs) && runs >= runsMin) return runs;
  throw new InvalidArgumentError(`It must be an integer of at least ${runsMin}.`);
}

function parseFolder(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError('It must be a number above 0 and at most 3600.');
}
