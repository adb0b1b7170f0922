/** NBD URIs: uri.md beside the protocol's specification. */
import { defaultPort } from './constants.js';

/** Where a server can be reached. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** The URI that a client needs for an export; the empty name is the default export. */
export function formatUri(address: Address, exportName = '', tls = false): string {
  const scheme = tls ? 'nbds' : 'nbd';
  const name = encodeURIComponent(exportName);
  if ('path' in address) {
    // "An abstract socket is socket=%00NAME."
    const path = address.path.split('/').map(encodeURIComponent).join('/');
    return `${scheme}+unix:///${name}?socket=${path}`;
  }
  const { host, port } = address;
  const authority = host.includes(':') ? `[${host}]` : host;
  const suffix = port === defaultPort ? '' : `:${port}`;
  return `${scheme}://${authority}${suffix}${name === '' ? '' : `/${name}`}`;
}
