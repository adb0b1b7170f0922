import { defaultLimits, type Limits } from '../limits.js';
import { memoryBytesMax } from '../memory/pages.js';
import { NbdError } from '../errors.js';
import { quoted } from '../quoted.js';
import { MemoryBudget } from '../transmission/memory/memory-budget.js';
import { checkStrategy } from '../transport/attach.js';
import { AccessControl } from './access.js';
import { Admission } from './admission/admission.js';
import { BusyPoll, checkedBusyPoll } from './busy-poll/busy-poll.js';
import type { Connection, ConnectionLosses } from './connection.js';
import { Connections } from './connections.js';
import { Catalog } from './exports/catalog.js';
import { LimitedLogger } from './log/limited-logger.js';
import { silentLogger } from './log/logger.js';
import type { ServerOptions } from './options.js';
import { endsBefore, StopClock } from './stop-clock.js';
import { TlsAcceptor } from './tls/acceptor.js';

/** Share of the shutdown timeout until which clients may read their replies. */
const clientsShare = 0.8;
/** Share until which backends may answer requests; the rest is for flushing and closing them. */
const requestsShare = 0.9;

/** What one thread serves: exports, and the connections that use them. */
export class Serving {
  readonly access: AccessControl;
  readonly admission: Admission;
  readonly catalog: Catalog;
  readonly connections: Connections;
  readonly losses: ConnectionLosses = { refused: 0, timedOut: 0 };
  readonly limits: Limits;
  readonly logger: LimitedLogger;
  readonly tls: TlsAcceptor;
  private closing: Promise<void> | undefined;

  /** The limits are checked, and those of this thread. */
  constructor(options: ServerOptions, limits: Limits) {
    const { transmit = 'auto' } = options;
    const logger = new LimitedLogger(options.logger ?? silentLogger);
    checkStrategy(transmit);
    this.access = new AccessControl(options.allow, logger);
    this.admission = new Admission(limits, logger);
    this.limits = limits;
    this.logger = logger;
    this.catalog = new Catalog(options.exports, {
      access: this.access,
      defaultExport: options.defaultExport,
      openExportsMax: limits.openExportsMax,
      logger,
    });
    this.tls = new TlsAcceptor(options.tls);
    checkTlsExports(this.catalog, this.tls);
    const context = {
      catalog: this.catalog,
      limits,
      memoryBudget: new MemoryBudget(limits.memoryBytesMax),
      logger,
      strategy: transmit,
      busyPoll: new BusyPoll(checkedBusyPoll(options.busyPollMicroseconds) / 1000),
      tls: this.tls,
      losses: this.losses,
    };
    this.connections = new Connections(context, this.access, this.admission);
  }

  /**
   * Ends the connections, then flushes and closes the backends. `others` begins what
   * must end too before the backends are closed. Further calls return the same promise.
   * @throws NbdError `NBDCORK_SHUTDOWN_TIMEOUT` or `NBDCORK_DATA_LOST`.
   */
  close(
    others: () => readonly Promise<unknown>[] = () => [],
    timeoutMs = this.limits.shutdownTimeoutMs,
  ): Promise<void> {
    this.closing ??= this.shutDown(others, timeoutMs).finally(() => {
      this.logger.flush();
    });
    return this.closing;
  }

  private async shutDown(
    others: () => readonly Promise<unknown>[],
    timeoutMs: number,
  ): Promise<void> {
    const clock = new StopClock(timeoutMs);
    const clientsLate = clock.after(clientsShare);
    const requestsLate = clock.after(requestsShare);
    const backendsLate = clock.after(1);
    this.admission.stop();
    const othersEnded = others();
    await this.connections.end(clientsLate);
    const answered: Connection[] = [];
    const answers = this.connections.unfinished.map((connection) =>
      connection.answered.then(() => answered.push(connection)),
    );
    // The listeners close after their last socket, and a stream of the user may close late.
    const requestsAnswered = await endsBefore(
      requestsLate,
      Promise.all([...othersEnded, ...answers]),
    );
    // A backend of one connection is closed by it, after the last answer.
    const ownBackendsClosed = answered.map(({ backendClosed }) => backendClosed);
    const backendsClosed = await endsBefore(
      backendsLate,
      Promise.all([this.catalog.backends.close(), ...ownBackendsClosed]),
    );
    clock.clear();
    const { dataLoss } = this.catalog.backends.closer;
    if (requestsAnswered && backendsClosed) {
      if (dataLoss !== undefined) throw dataLoss;
      return;
    }
    throw new NbdError(
      'NBDCORK_SHUTDOWN_TIMEOUT',
      `A backend or a stream did not finish within ${timeoutMs} ms: ` +
        'data that was not flushed may be lost.',
      dataLoss,
    );
  }
}

/** Share of the machine's memory that payloads may take. */
const memoryShare = 1 / 8;

export function defaultMemoryBytes(): number {
  return Math.max(defaultLimits.memoryBytesMax, Math.floor(memoryBytesMax() * memoryShare));
}

function checkTlsExports(catalog: Catalog, { mode }: TlsAcceptor): void {
  const name = catalog.names.find((each) => catalog.requiresTls(each));
  if (name === undefined || mode !== 'off') return;
  throw new NbdError(
    'NBDCORK_BAD_TLS',
    `The export ${quoted(name)} requires TLS, which is off: add a certificate or pre-shared keys.`,
  );
}
