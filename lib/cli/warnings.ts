/** Warnings at the start, of what is allowed and seldom meant. */
import { BlockList, isIPv4 } from 'node:net';
import { addon } from '../native/load.js';
import { quoted } from '../quoted.js';
import type { Logger } from '../server/log/logger.js';
import type { ExportOptions } from '../server/options.js';
import type { TlsOptions } from '../server/tls/options.js';
import type { StrategyName } from '../transport/transport.js';
import type { Address } from '../wire/uri.js';

/** Linux and most other systems count disks in sectors. */
const sectorBytes = 512;

export function warnOfSizes(
  exports: Readonly<Record<string, ExportOptions>>,
  logger: Logger,
): void {
  for (const [name, { backend }] of Object.entries(exports)) {
    if (typeof backend === 'function') continue;
    const { size } = backend;
    const rest = size % sectorBytes;
    if (size > 0 && rest === 0) continue;
    logger.warn(
      { export: name, size },
      size === 0
        ? `The disk of the export ${quoted(name)} is empty: give it a size, for example with truncate.`
        : `The size of the export ${quoted(name)} is no multiple of ${sectorBytes}: many clients ` +
            `cannot use its last ${rest} bytes.`,
    );
  }
}

export interface Protection {
  readonly tls: TlsOptions | undefined;
  readonly hasRules: boolean;
}

/** A disk that everybody can write whose packets arrive. */
export function warnOfExposure(
  addresses: readonly Address[],
  { tls, hasRules }: Protection,
  logger: Logger,
): void {
  if (hasRules || tls?.mode === 'require') return;
  for (const address of addresses) {
    if ('path' in address || isLoopback(address.host)) continue;
    const { host, port } = address;
    logger.warn(
      { host, port },
      `Everybody who can reach ${host} port ${port} can use the disks: ` +
        'require TLS (--tls require), add access rules (--allow), or listen on 127.0.0.1.',
    );
  }
}

/** A strategy that `attach` replaces. */
export function warnOfStrategy(
  addresses: readonly Address[],
  strategy: StrategyName | 'auto',
  logger: Logger,
  hasAddon = addon !== undefined,
): void {
  if (strategy === 'auto' || strategy === 'plain' || strategy === 'stream') return;
  const used = strategy === 'cork' ? 'plain' : 'stream';
  if (!hasAddon) {
    logger.warn({ strategy }, `--transmit ${strategy} needs the addon: ${used} is used instead.`);
  } else if (strategy === 'cork' && addresses.some((address) => 'path' in address)) {
    logger.warn(
      { strategy },
      `--transmit cork needs TCP: on Unix sockets ${used} is used instead.`,
    );
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  return loopback.check(host, isIPv4(host) ? 'ipv4' : 'ipv6');
}
