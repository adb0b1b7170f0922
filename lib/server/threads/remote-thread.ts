import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Client } from '../../handshake/client.js';
import type { AccessControl } from '../access.js';
import type { Slot } from '../admission/admission.js';
import type { ConnectionLosses } from '../connection.js';
import type { Logger } from '../log/logger.js';
import {
  counter,
  type FromThread,
  type ThreadCounters,
  type ThreadOptions,
  type ToThread,
} from './messages.js';
import { errorFrom } from './portable-error.js';

/** What the threads of a server share. */
export interface Shared {
  readonly access: AccessControl;
  readonly losses: ConnectionLosses;
  readonly logger: Logger;
}

/** A serving thread, as the accepting one knows it. */
export class RemoteThread {
  /** Settles when it has opened its disks. Rejects where it ends before. */
  readonly ready: Promise<void>;
  /** Settles when it has ended, with the error that ended it, if any. */
  readonly ended: Promise<unknown>;
  /** It takes connections, or has done so until it ended. */
  wasReady = false;
  /** It has ended, or is to end. */
  isStopping = false;
  private readonly worker: Worker;
  private readonly counters: ThreadCounters = new Int32Array(
    new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(counter).length),
  );
  private readonly shared: Shared;
  private readonly slots = new Map<number, Slot>();
  /** Descriptors that were handed to it, in their order, without the first `takenOver`. */
  private handed: number[] = [];
  private takenOver = 0;
  private connectionsHanded = 0;
  private lossesSeen: ConnectionLosses = { refused: 0, timedOut: 0 };
  private stopped: ((error: Error | undefined) => void) | undefined;

  constructor(options: ThreadOptions, shared: Shared) {
    this.shared = shared;
    this.worker = new Worker(new URL('./worker.js', import.meta.url), {
      // Those of this process may not fit, such as --input-type.
      execArgv: [],
    });
    let error: unknown;
    this.worker.on('error', (reason) => {
      error = reason;
    });
    this.ended = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.exited();
        resolve(error);
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.worker.on('message', (message: FromThread) => {
        if (message.type === 'ready') resolve();
        this.receive(message);
      });
      void this.ended.then((reason) => {
        reject(reason instanceof Error ? reason : new Error('the thread has ended'));
      });
    });
    // Who does not wait for it looks at `ended`.
    this.ready.catch(() => undefined);
    this.send({ type: 'setup', setup: { ...options, counters: this.counters } });
  }

  /** Connections that it serves, and closed ones with work in progress. */
  get load(): number {
    return this.slots.size;
  }

  /** Gives it a connected descriptor, which it closes. */
  handOver(fd: number, client: Client, slot: Slot): void {
    const id = this.connectionsHanded++;
    this.forgetTakenOver();
    this.handed.push(fd);
    this.slots.set(id, slot);
    this.send({ type: 'connection', id, fd, client });
  }

  /** Ends its connections and closes its disks. Resolves with an error as `NbdServer.close` throws it. */
  async stop(timeoutMs: number): Promise<Error | undefined> {
    this.isStopping = true;
    if (!this.wasReady) {
      await this.worker.terminate();
      return undefined;
    }
    const stopped = new Promise<Error | undefined>((resolve) => {
      this.stopped = resolve;
    });
    this.send({ type: 'stop', timeoutMs });
    return Promise.race([stopped, this.ended.then(() => undefined)]);
  }

  /** Resolves when it has ended. A system call in progress may hold it up. */
  async terminate(): Promise<void> {
    this.isStopping = true;
    await this.worker.terminate();
  }

  private send(message: ToThread): void {
    this.worker.postMessage(message);
  }

  private receive(message: FromThread): void {
    switch (message.type) {
      case 'ready':
        this.wasReady = true;
        return;
      case 'closed':
        this.count(message.losses);
        this.slots.get(message.id)?.close();
        return;
      case 'released':
        this.count(message.losses);
        this.slots.get(message.id)?.release();
        this.slots.delete(message.id);
        return;
      case 'access':
        void this.answer(message.id, message.client, message.exportName);
        return;
      case 'log': {
        const { level, details, error, message: text } = message;
        Atomics.sub(this.counters, counter.records, 1);
        const err = error === undefined ? {} : { err: errorFrom(error) };
        this.shared.logger[level]({ ...details, ...err }, text);
        return;
      }
      case 'stopped':
        this.stopped?.(message.error === undefined ? undefined : errorFrom(message.error));
    }
  }

  private async answer(id: number, client: Client, exportName?: string): Promise<void> {
    const allowed = await this.shared.access.allows(client, exportName);
    this.send({ type: 'access', id, allowed });
  }

  /** Adds what is new since the last report. */
  private count({ refused, timedOut }: ConnectionLosses): void {
    const { losses } = this.shared;
    losses.refused += refused - this.lossesSeen.refused;
    losses.timedOut += timedOut - this.lossesSeen.timedOut;
    this.lossesSeen = { refused, timedOut };
  }

  private forgetTakenOver(): void {
    const takenOver = Atomics.load(this.counters, counter.takenOver);
    this.handed = this.handed.slice(takenOver - this.takenOver);
    this.takenOver = takenOver;
  }

  /** Its sockets are closed by now, except those that it has not taken over. */
  private exited(): void {
    this.forgetTakenOver();
    for (const fd of this.handed) closeSync(fd);
    this.handed = [];
    for (const slot of this.slots.values()) slot.release();
    this.slots.clear();
  }
}
