import { codeOf, messageOf, NbdError } from '../../errors.js';

interface Caller {
  readonly resolve: () => void;
  readonly reject: (error: NbdError) => void;
}

/**
 * fdatasync for many callers. One that calls while a sync runs waits for the
 * next, since the running one may have begun before the writes that the caller
 * wants covered. All callers that wait share that next one.
 *
 * A failed sync fails all later ones. Linux reports lost writes once and then
 * forgets them: a sync that succeeds afterwards says nothing about them.
 */
export class DataSync {
  private waiting: Caller[] = [];
  private running = false;
  private failure: NbdError | undefined;
  private readonly syncFile: () => Promise<void>;

  /** `syncFile` is fdatasync(2) of the file. */
  constructor(syncFile: () => Promise<void>) {
    this.syncFile = syncFile;
  }

  /** True once a sync has failed. */
  get failed(): boolean {
    return this.failure !== undefined;
  }

  /** Puts all that was written before on stable storage. @throws NbdError */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (!this.running) this.start();
    });
  }

  private start(): void {
    const callers = this.waiting;
    this.waiting = [];
    if (this.failure !== undefined) {
      settle(callers, this.failure);
      return;
    }
    this.running = true;
    const ended = (error?: unknown): void => {
      this.running = false;
      if (error !== undefined) this.failure = syncFailed(error);
      settle(callers, this.failure);
      if (this.waiting.length > 0) this.start();
    };
    this.syncFile().then(() => {
      ended();
    }, ended);
  }
}

function settle(callers: readonly Caller[], failure: NbdError | undefined): void {
  for (const { resolve, reject } of callers) {
    if (failure === undefined) resolve();
    else reject(failure);
  }
}

// The message reaches clients, so it does not name the file.
function syncFailed(error: unknown): NbdError {
  return new NbdError(
    codeOf(error) ?? 'EIO',
    `Writes may be lost: flushing the disk failed (${messageOf(error)}). ` +
      'Every flush fails until the disk is opened again; check its contents then.',
    error,
  );
}
