import type { Backend, Extent, MetaContext, StatusExtent } from '../backend/backend.js';
import { checkedExtent, checkExtents } from '../backend/check-extents.js';
import { isPromise } from '../backend/maybe-promise.js';
import { AllocationFlag } from '../wire/constants.js';

const contextName = 'base:allocation';

/**
 * `base:allocation` of any backend. Without `extents` all of it is data: "a server
 * MAY always safely report a status of 0 for any block".
 */
export function allocation(backend: Backend): MetaContext {
  return {
    name: contextName,
    status(offset, length, options) {
      if (backend.extents === undefined) return [{ length: backend.size - offset, flags: 0 }];
      const extents = backend.extents(offset, length, options);
      return isPromise(extents) ? Promise.resolve(extents).then(statusesOf) : statusesOf(extents);
    },
  };
}

function statusesOf(extents: Iterable<Extent>): Iterable<StatusExtent> {
  checkExtents(contextName, extents);
  return { [Symbol.iterator]: () => new AllocationStatus(extents[Symbol.iterator]()) };
}

/** Hot: not a generator, because V8 does not inline those. */
class AllocationStatus implements Iterator<StatusExtent, undefined> {
  private readonly extents: Iterator<Extent>;

  constructor(extents: Iterator<Extent>) {
    this.extents = extents;
  }

  next(): IteratorResult<StatusExtent, undefined> {
    const result = this.extents.next();
    if (result.done) return { done: true, value: undefined };
    try {
      return { done: false, value: statusOf(result.value) };
    } catch (error) {
      this.closeQuietly();
      throw error;
    }
  }

  /**
   * A loop does not close an iterator whose `next` throws. An error while closing
   * would hide the first one.
   */
  private closeQuietly(): void {
    try {
      this.return();
    } catch {
      // The first error is reported.
    }
  }

  return(): IteratorResult<StatusExtent, undefined> {
    this.extents.return?.();
    return { done: true, value: undefined };
  }
}

function statusOf(extent: Extent): StatusExtent {
  const { length, hole, zero } = checkedExtent(extent);
  return { length, flags: (hole ? AllocationFlag.hole : 0) | (zero ? AllocationFlag.zero : 0) };
}
