import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { reportFailure } from './failure.js';
import { runsMin } from './runs.js';
import { onStopSignal, statusOf } from './signals.js';
import { exitCode } from './exit-codes.js';

interface BenchFlags {
  readonly all?: true;
  readonly load: 'nbdcork' | 'fio';
  readonly runs?: number;
  readonly seconds?: number;
  readonly limit?: string;
  readonly output: string;
}

const examples = `
Words:
  unix, unix-tls, tcp, tcp-tls, pipe, veth                  links
  read-4k, read-64k, mixed-4k, extents, read-512            kinds of requests
  depth=1, depth=64, connections=1, connections=8           requests and connections at a time
  simple, structured, extended                              headers of replies
  plain, cork, more, vectored, batched, stream              strategies
  sends                                                     more without its flag, to compare with
  nbdkit, qemu-nbd, nbd-server, limit                       other servers
  micro                                                     single calls

Examples:
  nbdcork bench                            4 KiB reads over every link: at most three minutes
  nbdcork bench tcp veth read-4k           what TCP does with reads of 4 KiB
  nbdcork bench batched nbdkit depth=64    one strategy, and one other server
  nbdcork bench --all --output results     everything: one to two hours`;

export function benchCommand(): Command {
  return new Command('bench')
    .description('Measure which way of sending replies wins on this machine, by how much, and why.')
    .argument('[word...]', 'what to measure; of what is not named, the usual')
    .option('-a, --all', 'measure everything that the words do not exclude')
    .option(
      '--runs <count>',
      `runs of each, at least ${runsMin}, the first thrown away (default: 10; without --all what fits into three minutes, and more of what is not sure then)`,
      parseRuns,
    )
    .option(
      '--seconds <seconds>',
      'how long a run is (default: 0.2, or 0.15 with --all)',
      parseSeconds,
    )
    .option(
      '--limit <path>',
      'a server that is as fast as can be, started as PATH unix:SOCKET or PATH tcp:PORT',
      (path) => resolve(path),
    )
    .addOption(
      new Option('--load <load>', 'who asks').choices(['nbdcork', 'fio']).default('nbdcork'),
    )
    .option(
      '-o, --output <folder>',
      'where the report goes, in place of an earlier one',
      parseFolder,
      'bench-report',
    )
    .addHelpText('after', examples)
    .exitOverride()
    .action(async (words: string[], flags: BenchFlags) => {
      await run(words, flags).catch((error: unknown) => reportFailure(error));
    });
}

async function run(words: readonly string[], flags: BenchFlags): Promise<void> {
  // Only who measures pays for what measuring needs.
  const { runBenchmark } = await import('../../benchmarks/index.js');
  const stopping = new AbortController();
  let stoppedBy: NodeJS.Signals = 'SIGINT';
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy = signal;
    stopping.abort();
  };
  onStopSignal(stop);
  // A terminal that is closed must leave no namespace and no folder behind.
  process.on('SIGHUP', stop);
  const { all = false, ...options } = flags;
  const command = ['nbdcork', ...process.argv.slice(2)].join(' ');
  const outcome = await runBenchmark({ ...options, words, all, command, signal: stopping.signal });
  if (outcome === 'failed') process.exitCode = exitCode.failure;
  if (outcome === 'interrupted') {
    process.exitCode = statusOf(stoppedBy);
  }
}

function parseRuns(text: string): number {
  const runs = Number(text);
  if (Number.isInteger(runs) && runs >= runsMin) return runs;
  throw new InvalidArgumentError(
    `It must be an integer from ${runsMin} on: the first is thrown away, and fewer than three others say nothing.`,
  );
}

/** No name would be the current folder, which nobody means. */
function parseFolder(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError('It must be a number above 0, and at most 3600.');
}
