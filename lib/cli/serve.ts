import { join, resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Logger } from 'pino';
import { codeOf, NbdError } from '../errors.js';
import {
  busyPollMicrosecondsDefault,
  busyPollMicrosecondsMax,
} from '../server/busy-poll/busy-poll.js';
import { createServer, type NbdServer } from '../server/server.js';
import { threadsMax } from '../server/threads/thread-options.js';
import { strategyNames, type StrategyName } from '../transport/transport.js';
import { defaultPort } from '../wire/constants.js';
import { warnOfExposure, warnOfSizes, warnOfStrategy } from './warnings.js';
import { inheritedDescriptors } from './activation.js';
import { addAccessOptions, allowFrom, type AccessFlags } from './options/access-options.js';
import { CaptiveCommand, privateFolder } from './captive.js';
import {
  addExportOptions,
  openExports,
  parseNamedSource,
  type ExportFlags,
  type NamedSource,
} from './options/export-options.js';
import { exitCode } from './exit-codes.js';
import { reportFailure } from './failure.js';
import { addLimitOptions, limitsFrom } from './options/limit-options.js';
import { logFormats, logLevels, openLog, type LoggingOptions } from './logging.js';
import { exitNow } from './exit.js';
import { numberFrom } from './options/parsing.js';
import { onStopSignals } from './signals.js';
import {
  addTlsOptions,
  openTls,
  tlsParameters,
  warnOfReadableKeys,
  type TlsFlags,
} from './options/tls-options.js';

interface ServeOptions extends LoggingOptions, ExportFlags, AccessFlags, TlsFlags {
  readonly port?: number;
  readonly host?: string;
  readonly unix?: string;
  readonly stdio?: true;
  readonly transmit: StrategyName | 'auto';
  readonly busyPoll?: number;
  readonly threads?: number;
  readonly run?: string;
}

/** Time for the last lines of the log at the end of the program. */
const logFlushMs = 500;

const examples = `
Sources:
  disk.img, /dev/sdX   file or block device
  memory:64M           zero-filled memory; K, M, G, T, P, E are powers of 1024

Examples:
  nbdcork serve disk.img
  nbdcork serve --unix /run/nbd.sock a=a.img b=b.img
  nbdcork serve --run 'nbdinfo "$NBD_URI"' memory:1G
  nbdinfo -- [ nbdcork serve --stdio disk.img ]

Access rules:
  any, address:10.0.0.0/8, address:FIRST-LAST, user:UID, group:GID,
  certificate:CN=NAME, psk:IDENTITY
  EXPORT=RULE applies to one export only.

Exit status:
  0      stopped by SIGINT, SIGTERM, SIGHUP or SIGQUIT, or the client of
         --stdio disconnected
  1      failure
  2      invalid usage
  3      data may be lost: a disk could not be flushed or closed, or not in time
  128+n  stopped at once by a second signal, n is its number
  With --run, the exit status of the command instead of 0.`;

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Serve disks until stopped. Prints the URI of each export.')
    .addArgument(
      new Argument('[source...]', 'disks to serve: [NAME=]SOURCE; the default NAME is empty'),
    )
    .option(
      '-p, --port <port>',
      `TCP port to listen on, 0 for any free port (default: ${defaultPort})`,
      numberFrom(0, 65_535),
    )
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option(
      '-u, --unix <path>',
      'listen on a Unix socket; on TCP only if --port or --host is given too',
      parsePath,
    )
    .addOption(
      new Option('--stdio', 'serve one client on standard input and output').conflicts([
        'port',
        'host',
        'unix',
        'run',
        'threads',
      ]),
    )
    .option('--run <cmd>', 'run a shell command with the URI in NBD_URI; stop when it exits');
  addTlsOptions(addAccessOptions(addExportOptions(command)))
    .addOption(
      new Option('--transmit <strategy>', 'how replies are sent')
        .choices(['auto', ...strategyNames])
        .default('auto'),
    )
    .option(
      '--busy-poll <microseconds>',
      `maximum time to busy-poll for the next request, 0 to disable (default: ${busyPollMicrosecondsDefault})`,
      numberFrom(0, busyPollMicrosecondsMax, false),
    )
    .option(
      '--threads <number>',
      `threads that serve clients, 1 to ${threadsMax} (default: 1)`,
      numberFrom(1, threadsMax),
    )
    .addOption(
      new Option('--log-format <format>', 'log format').choices(logFormats).default('text'),
    )
    .addOption(
      new Option('--log-level <level>', 'minimum level').choices(logLevels).default('info'),
    );
  return addLimitOptions(command)
    .addHelpText('after', examples)
    .exitOverride()
    .action(async (sources: string[], options: ServeOptions) => {
      const log = openLog(options);
      const unfinished = await serve(sources, options, log.logger).then(
        () => false,
        (error: unknown) => {
          reportFailure(error, options.logFormat);
          return codeOf(error) === 'NBDCORK_SHUTDOWN_TIMEOUT';
        },
      );
      // What did not close in time, or a log that cannot be written, may keep the process alive.
      if (!(await log.flush(logFlushMs)) || unfinished) {
        exitNow(Number(process.exitCode ?? exitCode.ok));
      }
    });
}

async function serve(
  texts: readonly string[],
  options: ServeOptions,
  logger: Logger,
): Promise<void> {
  const sources = sourcesFrom(texts, options);
  const inherited = inheritedDescriptors(process.env);
  const tls = await openTls(options);
  await warnOfReadableKeys(options, logger);
  const names = sources.map(({ name }) => name);
  const allow = allowFrom(options, names, tls, logger);
  const exports = await openExports(sources, options);
  warnOfSizes(exports, logger);
  const server = createServer({
    exports,
    ...(options.defaultExport !== undefined && { defaultExport: options.defaultExport }),
    ...(allow !== undefined && { allow }),
    ...(tls !== undefined && { tls }),
    limits: limitsFrom({ ...options }),
    transmit: options.transmit,
    ...(options.threads !== undefined && { threads: options.threads }),
    ...(options.busyPoll !== undefined && { busyPollMicroseconds: options.busyPoll }),
    logger,
  });
  const warnOfListeners = (): void => {
    const { addresses } = server;
    warnOfExposure(addresses, { tls, hasRules: allow !== undefined }, logger);
    warnOfStrategy(addresses, options.transmit, logger);
  };
  try {
    // libnbd passes a listening socket to the server that it starts, even one with --stdio.
    if (options.stdio === true && inherited.length === 0) {
      await Promise.race([server.serveStdio(), stopSignal(logger)]);
    } else if (options.run !== undefined) {
      // Before a socket file exists that a signal could leave behind.
      const captive = new CaptiveCommand(() => void server.close());
      await listen(server, options, inherited);
      warnOfListeners();
      const uri = server.uri(names[0], tlsParameters(options, tls));
      process.exitCode = await captive.run(options.run, uri);
    } else {
      const stopped = stopSignal(logger);
      await listen(server, options, inherited);
      warnOfListeners();
      // The parent process knows the inherited sockets, which are the first of the addresses.
      const uris = names.flatMap((name) => server.uris(name).slice(inherited.length));
      printUris(uris, logger);
      await stopped;
    }
  } finally {
    await server.close();
  }
}

function sourcesFrom(texts: readonly string[], options: ServeOptions): readonly NamedSource[] {
  const named = [...texts.map(parseNamedSource), ...(options.export ?? [])];
  if (named.length === 0) {
    throw new NbdError('NBDCORK_BAD_EXPORT', 'No exports: add a SOURCE, or --export NAME=SOURCE.');
  }
  return named;
}

function printUris(uris: readonly string[], logger: Logger): void {
  process.stdout.on('error', (error: Error) => {
    logger.warn({ uris }, `cannot print URIs: ${error.message}`);
  });
  process.stdout.write(uris.map((uri) => `${uri}\n`).join(''));
}

/** Listens on the inherited sockets and on those that the options name; else on the default one. */
async function listen(
  server: NbdServer,
  { port, host, unix, run }: ServeOptions,
  inherited: readonly number[],
): Promise<void> {
  for (const fd of inherited) await server.listen({ fd });
  if (unix !== undefined) await server.listen({ path: unix });
  const listensOnTcp = port !== undefined || host !== undefined;
  if (listensOnTcp) {
    await server.listen({
      ...(port !== undefined && { port }),
      ...(host !== undefined && { host }),
    });
  }
  if (inherited.length > 0 || unix !== undefined || listensOnTcp) return;
  if (run === undefined) await server.listen();
  else await server.listen({ path: join(await privateFolder(), 'nbd.sock') });
}

/** Resolves at the first stop signal; a second one ends the process at once. */
function stopSignal(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    onStopSignals((signal) => {
      logger.info({ signal }, 'stopping');
      resolve();
    });
  });
}

function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  // Clients may run in other folders.
  return resolve(text);
}
