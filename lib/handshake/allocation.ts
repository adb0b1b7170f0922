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
  return flagged(extents);
}

function* flagged(extents: Iterable<Extent>): Generator<StatusExtent, void> {
  for (const extent of extents) {
    const { length, hole, zero } = checkedExtent(extent);
    yield {
      length,
      flags: (hole ? AllocationFlag.hole : 0) | (zero ? AllocationFlag.zero : 0),
    };
  }
}
