import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Backend, ThreadSource } from '../../backend/backend.js';
import { openFile } from '../../backend/file/open-file.js';
import { MemoryFile } from '../../backend/memory/memory-file.js';
import { ZeroBackend } from '../../backend/memory/zero-backend.js';
import { messageOf } from '../../errors.js';
import { descriptorStreams } from '../../sockets/streams.js';
import type { Allow } from '../access.js';
import type { Slots } from '../admission/admission.js';
import type { ExportOptions } from '../options.js';
import { Serving } from '../serving.js';
import {
  counter,
  type FromThread,
  type HandOver,
  type ThreadExport,
  type ThreadSetup,
  type ToThread,
} from './messages.js';
import { portableError } from './portable-error.js';
import { ThreadLogger } from './thread-logger.js';

type Post = (message: FromThread) => void;

/** A thread that serves the connections that the accepting thread hands over to it. */
export class ServingThread {
  private readonly setup: ThreadSetup;
  private readonly post: Post;
  private readonly serving: Serving;
  /** Questions whether a client may use an export. */
  private readonly questions = new Map<number, (allowed: boolean) => void>();
  private questionsAsked = 0;

  /** Opens the disks. @throws NbdError where one cannot be opened. */
  static async start(setup: ThreadSetup, post: Post): Promise<ServingThread> {
    const exports: [name: string, ExportOptions][] = [];
    for (const each of setup.exports) exports.push([each.name, await openExport(each)]);
    // Not by assignment: a name may be that of a member of every object.
    return new ServingThread(setup, Object.fromEntries(exports), post);
  }

  private constructor(setup: ThreadSetup, exports: Record<string, ExportOptions>, post: Post) {
    const { limits, asksForAccess, counters, ...options } = setup;
    this.setup = setup;
    this.post = post;
    const allow: Allow = (client, exportName) =>
      new Promise((resolve) => {
        const id = this.questionsAsked++;
        this.questions.set(id, resolve);
        this.post({ type: 'access', id, client, exportName });
      });
    const logger = new ThreadLogger(counters, post);
    this.serving = new Serving(
      { ...options, exports, logger, ...(asksForAccess && { allow }) },
      limits,
    );
    post({ type: 'ready' });
  }

  receive(message: Exclude<ToThread, { type: 'setup' }>): void {
    switch (message.type) {
      case 'connection':
        this.take(message);
        return;
      case 'access':
        this.questions.get(message.id)?.(message.allowed);
        this.questions.delete(message.id);
        return;
      case 'stop':
        void this.stop(message.timeoutMs);
    }
  }

  private take({ id, fd, client }: HandOver): void {
    const { connections, admission, losses, limits, logger } = this.serving;
    // Before the socket exists: a thread that ends in between leaves a descriptor
    // open, while the other order would let it be closed twice.
    Atomics.add(this.setup.counters, counter.takenOver, 1);
    const report = (type: 'closed' | 'released') => (): void => {
      this.post({ type, id, losses: { ...losses } });
    };
    const released = report('released');
    const slots: Slots = {
      reasonToRefuse: (from, socket) => admission.reasonToRefuse(from, socket),
      take: () => ({ close: report('closed'), release: released }),
    };
    try {
      const streams = descriptorStreams(fd, limits.keepAliveMs);
      const refuse = (): void => {
        // Node.js would warn of closing a descriptor that this thread has not opened.
        new Socket({ fd }).destroy();
        released();
      };
      connections.accept(streams, client, refuse, undefined, slots);
    } catch (error) {
      logger.error({ err: error }, `cannot serve a connection: ${messageOf(error)}`);
      closeSync(fd);
      released();
    }
  }

  private async stop(timeoutMs: number): Promise<void> {
    const error = await this.serving.close(undefined, timeoutMs).then(
      () => undefined,
      (reason: unknown) => portableError(reason),
    );
    this.post({ type: 'stopped', error });
  }
}

async function openExport({ source, ...options }: ThreadExport): Promise<ExportOptions> {
  const open = (): Promise<Backend> => openSourceOfThread(source);
  return { ...options, backend: await open(), reopen: open };
}

/** The accepting thread has locked the file for all, and has examined its format. */
async function openSourceOfThread(source: ThreadSource): Promise<Backend> {
  switch (source.kind) {
    case 'file': {
      const { fd, ...options } = source;
      return openFile(`/proc/self/fd/${fd}`, { ...options, lock: false, format: 'raw' });
    }
    case 'memory':
      return MemoryFile.open(source.fd);
    case 'zeros':
      return new ZeroBackend(source.size);
  }
}
