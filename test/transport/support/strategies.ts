import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';
import { descriptorKind } from '../../../lib/native/addon.js';
import { addon } from '../../../lib/native/load.js';
import { descriptorOf } from '../../../lib/sockets/handle.js';
import { strategyNames, type StrategyName } from '../../../lib/transport/index.js';
import type { LinkKind } from './links.js';

export type Wanted = StrategyName | 'auto';
export const wantedStrategies: readonly Wanted[] = [...strategyNames, 'auto'];

/** The strategies that send on the descriptor. */
export const socketStrategies = ['cork', 'more', 'vectored', 'batched'] as const;

const { NBDCORK_NO_NATIVE, NBDCORK_REQUIRE_PEERS } = process.env;
if (addon === undefined && NBDCORK_REQUIRE_PEERS === '1' && NBDCORK_NO_NATIVE !== '1') {
  throw new Error('NBDCORK_REQUIRE_PEERS=1, and there is no addon. Build it: npx node-gyp rebuild');
}

/** The reason to skip a test, for `skip` of node:test. */
export const withoutAddon = addon === undefined ? 'needs the addon' : false;

export function skipReason(wanted: Wanted, kind?: LinkKind): string | false {
  if (kind?.skip !== undefined) return kind.skip;
  return socketStrategies.some((name) => name === wanted) && withoutAddon;
}

/** The strategy in effect according to docs/transport.md. */
export function strategyInEffect(wanted: Wanted, family: LinkKind['family']): StrategyName {
  if (wanted === 'plain' || wanted === 'stream') return wanted;
  if (wanted === 'cork') return family === 'tcp' && addon !== undefined ? 'cork' : 'plain';
  if (family === 'other' || addon === undefined) return 'stream';
  return wanted === 'auto' ? 'batched' : wanted;
}

/** Asserts that TCP_CORK is off, if the stream is an open TCP socket. */
export function assertUncorked(stream: Writable): void {
  const fd = descriptorOf(stream);
  if (addon === undefined || fd === undefined) return;
  if (addon.kindOf(fd) === descriptorKind.tcp) assert.equal(addon.getCork(fd), 0);
}
