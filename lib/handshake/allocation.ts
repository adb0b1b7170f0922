import type { Backend, Extent, MetaContext, StatusExtent } from '../backend/backend.js';
import { checkedExtent, checkExtents } from '../backend/check-extents.js';
import { isPromise } from '../backend/maybe-promise.js';
import { AllocationFlag } from '../wire/constants.js';

const contextName = 'base:allocation';

/**
 * `base:allocation` of any backend. One that does not know is all data: "a
 * server MAY always safely report a status of 0 for any block".
 */
export function allocation(backend: Backend): MetaContext {
  return {
    name: contextName,
    status(offset, length, options) {
      if (backend.extents === undefined) return [{ length: backend.size - offset, flags: 0 }];
      const extents = backend.extents(offset, length, options);
      return isPromise(extents) ? Promise.resolve(extents).then(statusOf) : statusOf(extents);
    },
  };
}

function statusOf(extents: Iterable<Extent>): Iterable<StatusExtent> {
  checkExtents(contextName, extents);
  return { [Symbol.iterator]: () => new Flagged(extents[Symbol.iterator]()) };
}

/** Caller: transmission/descriptors.ts, extent by extent. Hot: written out, since V8 inlines no generator. */
class Flagged implements Iterator<StatusExtent, undefined> {
  private readonly extents: Iterator<Extent>;

  constructor(extents: Iterator<Extent>) {
    this.extents = extents;
  }

  next(): IteratorResult<StatusExtent, undefined> {
    const result = this.extents.next();
    if (result.done) return { done: true, value: undefined };
    try {
      return { done: false, value: flagged(result.value) };
    } catch (error) {
      this.closeQuietly();
      throw error;
    }
  }

  /**
   * Whoever iterates closes nothing where it is `next` that throws. What closing
   * fails with says less than why it is closed.
   */
  private closeQuietly(): void {
    try {
      this.return();
    } catch {
      // The first error is told.
    }
  }

  return(): IteratorResult<StatusExtent, undefined> {
    this.extents.return?.();
    return { done: true, value: undefined };
  }
}

function flagged(extent: Extent): StatusExtent {
  const { length, hole, zero } = checkedExtent(extent);
  return { length, flags: (hole ? AllocationFlag.hole : 0) | (zero ? AllocationFlag.zero : 0) };
}
