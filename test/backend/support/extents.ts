import assert from 'node:assert/strict';
import type { Backend, Extent } from '../../../lib/backend/backend.js';

/** The lengths of the extents of a range, and whether they are holes or data. */
export async function extentsOf(
  disk: Backend,
  offset = 0,
  length = disk.size - offset,
  one = false,
): Promise<[number, string][]> {
  assert.ok(disk.extents !== undefined);
  const extents: Iterable<Extent> = await disk.extents(offset, length, { one });
  return [...extents].map((extent) => [extent.length, kindOf(extent)]);
}

function kindOf({ hole, zero }: Extent): string {
  assert.equal(hole, zero, 'holes read as zeros');
  return hole ? 'hole' : 'data';
}
