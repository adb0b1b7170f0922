/** All workloads, and those that are measured by default. */
import {
  kinds,
  links,
  strategies,
  type HeaderKind,
  type Kind,
  type Link,
  type Strategy,
  type Workload,
} from './results.js';

export const depths = [1, 64] as const;
export const connectionCounts = [1, 8] as const;
export const headerKinds = ['simple', 'structured', 'extended'] as const;
export const peerNames = ['nbdkit', 'qemu-nbd', 'nbd-server'] as const;

/** The strategies that differ on a link; the others are equal to one of these. */
const strategiesOf: Readonly<Record<Link, readonly Strategy[]>> = {
  unix: ['plain', 'more', 'vectored', 'batched', 'stream'],
  'unix-tls': ['plain', 'stream'],
  tcp: strategies,
  'tcp-tls': ['plain', 'stream'],
  pipe: ['plain', 'stream'],
  veth: strategies,
};

/** A control that is only measured when named, not a strategy to serve with. */
export function isControl(strategy: Strategy): boolean {
  return strategy === 'sends';
}

export function differs(link: Link, strategy: Strategy): boolean {
  return strategiesOf[link].includes(strategy);
}

/** Why some strategies are not measured on a link. */
export const whyMissing: Readonly<Record<Link, string>> = {
  unix: 'TCP_CORK does not apply, so it is plain',
  'unix-tls': 'OpenSSL sends, so all others are stream, and cork is plain',
  tcp: '',
  'tcp-tls': 'OpenSSL sends, so all others are stream, and cork is plain',
  pipe: 'a pipe is not a socket, so all others are stream, and cork is plain',
  veth: '',
};

/** BLOCK_STATUS has no simple reply. */
export function usualHeaders(kind: Kind): HeaderKind {
  return kind === 'extents' ? 'structured' : 'simple';
}

export function workload(
  link: Link,
  kind: Kind,
  depth: number,
  connections = 1,
  headers = usualHeaders(kind),
): Workload {
  return { link, kind, connections, depth, headers, load: 'nbdcork' };
}

/**
 * What is measured without any words: a row for each link, and one request at a
 * time on the one where packets count most. On the others strategies differ by a
 * few percent then, which some minutes cannot resolve.
 */
export function usualWorkloads(): Workload[] {
  return [...links.map((link) => workload(link, 'read-4k', 64)), workload('veth', 'read-4k', 1)];
}

/** Every link, kind, depth and number of connections; other headers where they are much of a reply. */
export function allWorkloads(): Workload[] {
  return links.flatMap((link) => {
    const counts = link === 'pipe' ? [1] : connectionCounts;
    const usual = kinds.flatMap((kind) =>
      counts.flatMap((count) => depths.map((depth) => workload(link, kind, depth, count))),
    );
    return [
      ...usual,
      ...(['read-4k', 'read-512'] as const).flatMap((kind) =>
        (['structured', 'extended'] as const).map((headers) =>
          workload(link, kind, 64, 1, headers),
        ),
      ),
      workload(link, 'extents', 64, 1, 'extended'),
    ];
  });
}

/** What fio and its libnbd can do. It chooses the headers, structured ones where it can. */
export function forFio(workloads: readonly Workload[]): Workload[] {
  return workloads
    .filter(({ link, kind, headers }) => {
      const canConnect = link === 'unix' || link === 'tcp' || link === 'veth';
      return canConnect && kind !== 'extents' && headers === usualHeaders(kind);
    })
    .map((usual) => ({ ...usual, headers: 'structured', load: 'fio' }));
}
