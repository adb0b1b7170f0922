/** Single operations of the addon's workers. */
import { operationKind, Workers, type Operation } from '../../../lib/backend/file/io/workers.js';
import { native } from './native.js';

async function run(
  operation: Partial<Operation> & Pick<Operation, 'kind' | 'fd'>,
): Promise<number> {
  const workers = new Workers(native(), 1);
  const nothing = { position: 0, length: 0, mode: 0, memory: undefined };
  try {
    return (await workers.run({ ...nothing, ...operation })).value;
  } finally {
    workers.close();
  }
}

export function fallocate(
  fd: number,
  mode: number,
  position: number,
  length: number,
): Promise<number> {
  return run({ kind: operationKind.allocate, fd, mode, position, length });
}

export function findData(
  fd: number,
  position: number,
  end: number,
  found: Float64Array,
): Promise<number> {
  const memory = new Uint8Array(found.buffer, found.byteOffset, found.byteLength);
  return run({ kind: operationKind.findData, fd, position, length: end - position, memory });
}
