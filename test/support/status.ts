/** Metadata contexts as bytes: in options, in requests, and in the chunks of replies. */
import assert from 'node:assert/strict';
import type { RequestFields } from './byte-client.js';
import { cmd, cmdFlag, u32, u64 } from './numbers.js';

/** One status chunk of a reply. */
export interface Status {
  readonly id: number;
  /** Length and flags of each. */
  readonly extents: readonly (readonly [length: bigint, flags: bigint])[];
}

/** The data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export function contextData(
  exportName: string,
  queries: readonly (string | Uint8Array)[],
  count = queries.length,
): Buffer {
  const strings: Buffer[] = [exportName, ...queries].map((text) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([u32(bytes.length), bytes]);
  });
  strings.splice(1, 0, u32(count));
  return Buffer.concat(strings);
}

/** The payload of a BLOCK_STATUS with a list of contexts. */
export function contextListData(length: number | bigint, ids: readonly number[]): Buffer {
  return Buffer.concat([u64(length), ...ids.map(u32)]);
}

/** Parse NBD_REPLY_TYPE_BLOCK_STATUS (5) or _EXT (6), and check it against the specification. */
export function parseStatus(type: number, payload: Buffer, request: RequestFields): Status {
  assert.equal(request.type, cmd.blockStatus);
  const extended = type === 6;
  const [first, size] = extended ? [8, 16] : [4, 8];
  assert.ok(payload.length > first && (payload.length - first) % size === 0);
  const extents: [bigint, bigint][] = [];
  for (let at = first; at < payload.length; at += size) {
    extents.push(
      extended
        ? [payload.readBigUInt64BE(at), payload.readBigUInt64BE(at + 8)]
        : [BigInt(payload.readUInt32BE(at)), BigInt(payload.readUInt32BE(at + 4))],
    );
  }
  if (extended) assert.equal(payload.readUInt32BE(4), extents.length, 'the descriptor count');
  const requested = effectLength(request);
  assert.ok(
    extents.every(([length]) => length > 0n),
    'a length MUST be nonzero',
  );
  const sums = extents.slice(0, -1).reduce((sum, [length]) => sum + length, 0n);
  assert.ok(
    sums < requested,
    'the sum of all but the last MUST be less than the length of the request',
  );
  if (((request.flags ?? 0) & cmdFlag.reqOne) !== 0) {
    assert.equal(extents.length, 1, 'NBD_CMD_FLAG_REQ_ONE');
    assert.ok((extents[0]?.[0] ?? 0n) <= requested, 'MUST NOT exceed the length of the request');
  }
  return { id: payload.readUInt32BE(0), extents };
}

function effectLength({ flags = 0, length = 0, payload }: RequestFields): bigint {
  if ((flags & cmdFlag.payloadLen) === 0) return BigInt(length);
  return Buffer.from(payload ?? []).readBigUInt64BE(0);
}
