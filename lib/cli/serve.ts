import { join, resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Logger } from 'pino';
import { codeOf } from '../errors.js';
import { busyPollMicrosecondsDefault, busyPollMicrosecondsMax } from '../limits.js';
import { createServer, type NbdServer } from '../server/server.js';
import { strategyNames, type StrategyName } from '../transport/transport.js';
import { defaultPort } from '../wire/constants.js';
import type { TlsParameters } from '../wire/uri.js';
import { inheritedDescriptors } from './activation.js';
import { addExportOptions, allowFrom, type ExportFlags, type RuleFlags } from './export-options.js';
import { openExports, parseNamedSource } from './exports.js';
import { reportFailure } from './failure.js';
import { addLimitOptions, limitsFrom } from './limit-options.js';
import { createLogger, logFormats, logLevels, type LoggingOptions } from './logging.js';
import { Captive, privateDirectory } from './run.js';
import { onStopSignals } from './signals.js';
import {
  addTlsOptions,
  openTls,
  tlsParameters,
  withTlsExports,
  type TlsFlags,
} from './tls-options.js';

interface ServeOptions extends LoggingOptions, ExportFlags, RuleFlags, TlsFlags {
  readonly port?: number;
  readonly host?: string;
  readonly unix?: string;
  readonly stdio?: true;
  readonly transmit: StrategyName | 'auto';
  readonly busyPoll?: number;
  readonly run?: string;
}

interface ListenPlan {
  readonly options: ServeOptions;
  /** Sockets that listen already: socket activation. */
  readonly inherited: readonly number[];
  /** What clients on this machine need for TLS. */
  readonly parameters: TlsParameters;
}

const examples = `
Sources:
  disk.img, /dev/sdX   a file or a block device
  memory:64M           memory, empty at first; K, M, G, T, P, E are binary

Examples:
  nbdcork serve disk.img                           on 127.0.0.1, port ${defaultPort}
  nbdcork serve --unix /run/nbd.sock a=a.img b=b.img
  nbdcork serve --run 'nbdinfo "$NBD_URI"' memory:1G
  nbdinfo -- [ nbdcork serve --stdio disk.img ]

Access rules:
  any, address:10.0.0.0/8, address:FIRST-LAST, user:UID, group:GID,
  certificate:CN=NAME, psk:IDENTITY; EXPORT=RULE is about one export.

Ends with 0 after SIGINT or SIGTERM, 1 where a source cannot be opened or
listened for, CMD cannot be run, --stdio leads to no client, or a disk cannot
be closed in time, 2 for a wrong command line, with the status of CMD after
--run, and with 128 and the signal's number after a second signal.`;

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Serve disks until stopped; the URI that clients need goes to standard output.')
    .addArgument(
      new Argument('<source...>', 'what to serve: [NAME=]SOURCE; without NAME the default export'),
    )
    .option(
      '-p, --port <port>',
      `TCP port, 0 for any that is free (default: ${defaultPort})`,
      parsePort,
    )
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option(
      '-u, --unix <path>',
      'listen on a Unix socket, instead of TCP unless --port or --host is given',
      parsePath,
    )
    .addOption(
      new Option('--stdio', 'serve one client on standard input and output').conflicts([
        'port',
        'host',
        'unix',
        'run',
      ]),
    )
    .option('--run <cmd>', 'run a shell command with NBD_URI set, and end when it ends');
  addTlsOptions(addExportOptions(command))
    .addOption(
      new Option('--transmit <strategy>', 'how replies are sent')
        .choices(['auto', ...strategyNames])
        .default('auto'),
    )
    .option(
      '--busy-poll <microseconds>',
      `stay awake so long for the next request, 0 for never (default: ${busyPollMicrosecondsDefault})`,
      parseMicroseconds,
    )
    .addOption(
      new Option('--log-format <format>', 'of the log').choices(logFormats).default('text'),
    )
    .addOption(
      new Option('--log-level <level>', 'least to log').choices(logLevels).default('info'),
    );
  return addLimitOptions(command)
    .addHelpText('after', examples)
    .exitOverride()
    .action(async (sources: string[], options: ServeOptions) => {
      await serve(sources, options).catch((error: unknown) => {
        reportFailure(error, options.logFormat);
        // What was given up may never end by itself.
        if (codeOf(error) === 'NBDCORK_SHUTDOWN_TIMEOUT') process.exit();
      });
    });
}

async function serve(sources: readonly string[], options: ServeOptions): Promise<void> {
  const logger = createLogger(options);
  const inherited = inheritedDescriptors(process.env);
  const tls = await openTls(options);
  const names = sources.map((source) => parseNamedSource(source).name);
  const allow = allowFrom(options, names, tls, logger);
  const exports = withTlsExports(await openExports(sources, options), options);
  const server = createServer({
    exports,
    ...(options.defaultExport !== undefined && { defaultExport: options.defaultExport }),
    ...(allow !== undefined && { allow }),
    ...(tls !== undefined && { tls }),
    limits: limitsFrom({ ...options }),
    transmit: options.transmit,
    ...(options.busyPoll !== undefined && { busyPollMicroseconds: options.busyPoll }),
    logger,
  });
  try {
    // libnbd starts a server with a listening socket of its own, whatever the server is told.
    if (options.stdio === true && inherited.length === 0) await serveStdio(server, logger);
    else {
      const parameters = tlsParameters(options, tls);
      await serveListening(server, logger, { options, inherited, parameters }, names);
    }
  } finally {
    await server.close();
  }
}

async function serveStdio(server: NbdServer, logger: Logger): Promise<void> {
  await Promise.race([server.serveStdio(), stopSignal(logger)]);
}

async function serveListening(
  server: NbdServer,
  logger: Logger,
  plan: ListenPlan,
  names: readonly string[],
): Promise<void> {
  const command = plan.options.run;
  // Before there is a socket file that a signal could leave behind.
  const captive = command === undefined ? undefined : new Captive(() => void server.close());
  const stopped = captive === undefined ? stopSignal(logger) : undefined;
  await listenAsAsked(server, plan);
  try {
    if (command !== undefined && captive !== undefined) {
      process.exitCode = await captive.run(command, server.uri(names[0], plan.parameters));
    } else {
      // Who passed us a listening socket knows where it is.
      printUris(
        names.flatMap((name) => server.uris(name).slice(plan.inherited.length)),
        logger,
      );
    }
    await stopped;
  } finally {
    await server.close();
  }
}

function printUris(uris: readonly string[], logger: Logger): void {
  process.stdout.on('error', (error: Error) => {
    logger.warn({ uris }, `cannot print where the disks are: ${error.message}`);
  });
  process.stdout.write(uris.map((uri) => `${uri}\n`).join(''));
}

async function listenAsAsked(server: NbdServer, { options, inherited }: ListenPlan): Promise<void> {
  const { port, host, unix } = options;
  for (const fd of inherited) await server.listen({ fd });
  if (unix !== undefined) await server.listen({ path: unix });
  const tcpAsked = port !== undefined || host !== undefined;
  if (tcpAsked) {
    await server.listen({
      ...(port !== undefined && { port }),
      ...(host !== undefined && { host }),
    });
  }
  if (inherited.length > 0 || unix !== undefined || tcpAsked) return;
  if (options.run === undefined) await server.listen();
  else await server.listen({ path: join(await privateDirectory(), 'nbd.sock') });
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    onStopSignals((signal) => {
      logger.info({ signal }, 'stopping');
      resolve();
    });
  });
}

function parseMicroseconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= busyPollMicrosecondsMax) || text.trim() === '') {
    throw new InvalidArgumentError(`It must be a number from 0 to ${busyPollMicrosecondsMax}.`);
  }
  return value;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || text.trim() === '') {
    throw new InvalidArgumentError('It must be a number from 0 to 65535.');
  }
  return port;
}

function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  // The URI is for clients in other folders, too.
  return resolve(text);
}
