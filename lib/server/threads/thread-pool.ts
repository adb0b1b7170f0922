import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import { peerName, type Client } from '../../handshake/client.js';
import { duplicateOf } from '../../sockets/duplicate.js';
import { descriptorOf } from '../../sockets/handle.js';
import type { Serving } from '../serving.js';
import type { ThreadExport, ThreadOptions } from './messages.js';
import { RemoteThread } from './remote-thread.js';

/** open(2): refers to a file, without opening it. Node.js lacks the constant. */
const pathOnly = 0o10000000;

/** Time until a thread that cannot start is started again. */
const restartDelayMs = 1000;

/** The threads that serve the connections which this one accepts. */
export class ThreadPool {
  /** The most serious error of a thread that has stopped. */
  failure: Error | undefined;
  private readonly serving: Serving;
  private readonly options: ThreadOptions;
  private readonly count: number;
  private readonly threads = new Set<RemoteThread>();
  /** Descriptors of the files of disks, which keep these, whatever becomes of the disks. */
  private readonly files: number[] = [];
  private exports: readonly ThreadExport[] = [];
  private started = false;
  private starting: Promise<void> | undefined;
  private stopping = false;

  constructor(serving: Serving, count: number, options: ThreadOptions) {
    this.serving = serving;
    this.count = count;
    this.options = options;
  }

  /** Starts the threads, once. @throws NbdError `NBDCORK_THREAD_ENDED` where one cannot open its disks. */
  start(): Promise<void> {
    this.starting ??= this.startAll();
    return this.starting;
  }

  /** Hands a connection over to the thread with the fewest, or closes it. */
  accept(socket: Socket, client: Client): void {
    const { admission, losses, logger } = this.serving;
    const fd = descriptorOf(socket);
    const thread = this.leastBusy();
    const owned = duplicateOf(socket);
    const reason = admission.reasonToRefuse(client, fd);
    // Closes this descriptor only: the connection lives as long as the other.
    socket.destroy();
    if (reason === undefined && thread !== undefined && owned !== undefined) {
      thread.handOver(owned, client, admission.take(client));
      return;
    }
    if (owned !== undefined) closeSync(owned);
    const without = thread === undefined ? 'no thread is running' : 'no descriptor is left';
    losses.refused++;
    logger.warn({ peer: peerName(client) }, `connection refused: ${reason ?? without}`);
  }

  /** Resolves when all connections have ended and all disks are closed. Never rejects. */
  async stop(timeoutMs: number): Promise<void> {
    this.stopping = true;
    await this.starting?.catch(() => undefined);
    const errors = await Promise.all([...this.threads].map((thread) => thread.stop(timeoutMs)));
    const failed = errors.filter((error) => error !== undefined);
    const late = failed.find((error) => codeOf(error) === 'NBDCORK_SHUTDOWN_TIMEOUT');
    this.failure = late ?? failed[0];
  }

  /** Ends the threads. Does not wait for those whose disks hold them up. */
  async terminate(wait: boolean): Promise<void> {
    const ended = Promise.all([...this.threads].map((thread) => thread.terminate())).then(() => {
      for (const fd of this.files.splice(0)) closeSync(fd);
    });
    if (wait) await ended;
  }

  private async startAll(): Promise<void> {
    this.openFiles();
    const threads = Array.from({ length: this.count }, () => this.add());
    try {
      await Promise.all(threads.map(({ ready }) => ready));
      this.started = true;
    } catch (cause) {
      this.stopping = true;
      await this.terminate(true);
      throw new NbdError(
        'NBDCORK_THREAD_ENDED',
        `A thread of the server could not start: ${messageOf(cause)}`,
        cause,
      );
    }
  }

  /** From now on threads find the files of the disks, whatever becomes of the disks. */
  private openFiles(): void {
    this.exports = this.options.exports.map((each): ThreadExport => {
      const { source } = each;
      if (source.kind === 'zeros') return each;
      const fd = openSync(`/proc/self/fd/${source.fd}`, pathOnly);
      this.files.push(fd);
      return { ...each, source: { ...source, fd } };
    });
  }

  private add(): RemoteThread {
    const { access, losses, logger } = this.serving;
    const options = { ...this.options, exports: this.exports };
    const thread = new RemoteThread(options, { access, losses, logger });
    this.threads.add(thread);
    void thread.ended.then((error) => {
      this.threads.delete(thread);
      this.replace(thread, error);
    });
    return thread;
  }

  private replace({ wasReady, isStopping }: RemoteThread, error: unknown): void {
    if (isStopping || !(wasReady || this.started)) return;
    const reason = error === undefined ? 'it was terminated' : messageOf(error);
    this.serving.logger.error(
      { err: error },
      wasReady
        ? `a thread has ended, and its connections with it: ${reason}`
        : `a thread could not start: ${reason}`,
    );
    if (wasReady) this.addAgain();
    else setTimeout(this.addAgain, restartDelayMs).unref();
  }

  private readonly addAgain = (): void => {
    if (!this.stopping) this.add();
  };

  private leastBusy(): RemoteThread | undefined {
    let best: RemoteThread | undefined;
    for (const thread of this.threads) {
      if (thread.wasReady && (best === undefined || thread.load < best.load)) best = thread;
    }
    return best;
  }
}
