/** Labels of links, requests and candidates in reports. */
import type { Candidate, HeaderKind, Kind, Link, Strategy, Workload } from '../results.js';

export const linkLabels: Readonly<Record<Link, string>> = {
  unix: 'Unix socket',
  'unix-tls': 'Unix socket, TLS',
  tcp: 'TCP, loopback',
  'tcp-tls': 'TCP, loopback, TLS',
  pipe: 'pipes',
  veth: 'TCP, veth',
};

export const kindLabels: Readonly<Record<Kind, string>> = {
  'read-4k': '4 KiB reads',
  'read-64k': '64 KiB reads',
  'mixed-4k': '4 KiB, half writes',
  extents: 'block status, 1,000 extents',
  'read-512': '512-byte reads',
};

export const headersLabels: Readonly<Record<HeaderKind, string>> = {
  simple: 'simple',
  structured: 'structured',
  extended: 'extended',
};

/** What each strategy does. */
export const strategyMeanings: Readonly<Record<Strategy, string>> = {
  plain: 'a write to Node’s stream for the header, one for the payload, nothing held back',
  cork: 'TCP_CORK set before the header and cleared after the payload',
  more: 'MSG_MORE on the header, none on the payload',
  vectored: 'one sendmsg for the header and the payload of a reply',
  batched: 'one sendmsg for all replies of a tick of the event loop',
  sends: 'a send for the header and one for the payload, with no flag',
  stream: 'Node’s own stream, corked for a tick; what pipes and systems without the addon get',
};

export function candidateLabel(candidate: Candidate): string {
  return candidate.type === 'strategy' ? candidate.strategy : candidate.name;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** All of a workload but its link, and but what varies, as a phrase. */
export function settingLabel(workload: Workload, varies?: 'depth' | 'connections'): string {
  const { kind, connections, depth, headers, load } = workload;
  return [
    kindLabels[kind],
    ...(varies === 'connections' ? [] : [counted(connections, 'connection')]),
    ...(varies === 'depth' ? [] : [`depth ${depth}`]),
    `${headersLabels[headers]} headers`,
    ...(load === 'nbdcork' ? [] : [`load from ${load}`]),
  ].join(', ');
}
