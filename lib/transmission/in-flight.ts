import type { ResultReceiver } from '../backend/pending.js';
import { Request } from '../wire/request.js';
import type { Result } from './result.js';

/** What becomes of a request that the backend answers later. */
export interface Answers {
  resolved(inFlight: InFlight, result: Result): void;
  rejected(inFlight: InFlight, error: unknown): void;
}

/** Objects of requests that have been answered, to be used again, and how many are kept. */
const spare: InFlight[] = [];
const spareMax = 1024;

/** A request that the backend answers later, and what it holds until then. */
export class InFlight implements ResultReceiver<Result> {
  readonly request = new Request();
  /** Bytes of the budget that were charged for it. */
  charged = 0;
  /** Memory that was taken for its payload. */
  buffer: Uint8Array | undefined;
  /** Its share of the bytes in flight of the connection. */
  bytes = 0;
  private answers: Answers | undefined;

  static start(request: Request, answers: Answers): InFlight {
    const inFlight = spare.pop() ?? new InFlight();
    inFlight.request.copyFrom(request);
    inFlight.answers = answers;
    return inFlight;
  }

  /** It was answered: the object may be used for another request. */
  end(): void {
    this.buffer = undefined;
    this.answers = undefined;
    if (spare.length < spareMax) spare.push(this);
  }

  resolved(result: Result): void {
    this.answers?.resolved(this, result);
  }

  rejected(error: unknown): void {
    this.answers?.rejected(this, error);
  }
}
