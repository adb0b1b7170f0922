/** NBD URIs: uri.md beside the protocol's specification. */
import { defaultPort } from './constants.js';

/** The address of a server. */
export type Address =
  | {
      /** IP address. */
      readonly host: string;
      /** TCP port. */
      readonly port: number;
    }
  | {
      /** Path of a Unix socket. */
      readonly path: string;
    };

/** TLS parameters of a URI, as libnbd and QEMU read them. */
export interface TlsParameters {
  /** The identity of a pre-shared key. */
  readonly user?: string;
  /** Path of the file with the client's pre-shared key. */
  readonly pskFile?: string;
  /** Path of the folder with the client's certificates. */
  readonly certificates?: string;
}

/**
 * The URI that a client needs for an export; the empty name is the default
 * export. With TLS the scheme requires clients to use it.
 */
export function formatUri(
  address: Address,
  exportName = '',
  tls: boolean | TlsParameters = false,
): string {
  const scheme = tls === false ? 'nbd' : 'nbds';
  const { user, pskFile, certificates } = typeof tls === 'object' ? tls : {};
  const name = encodeURIComponent(exportName);
  const login = user === undefined ? '' : `${encodeURIComponent(user)}@`;
  const query = [
    ...('path' in address ? [['socket', address.path]] : []),
    ...(certificates === undefined ? [] : [['tls-certificates', certificates]]),
    ...(pskFile === undefined ? [] : [['tls-psk-file', pskFile]]),
  ].map(([key = '', path = '']) => `${key}=${path.split('/').map(encodeURIComponent).join('/')}`);
  const suffix = query.length === 0 ? '' : `?${query.join('&')}`;
  if ('path' in address) {
    // "An abstract socket is socket=%00NAME."
    return `${scheme}+unix://${login}/${name}${suffix}`;
  }
  const { host, port } = address;
  const authority = host.includes(':') ? `[${host}]` : host;
  const portSuffix = port === defaultPort ? '' : `:${port}`;
  const path = name === '' && suffix === '' ? '' : `/${name}`;
  return `${scheme}://${login}${authority}${portSuffix}${path}${suffix}`;
}
