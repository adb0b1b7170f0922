/** NBD URIs, as uri.md describes them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatUri, type Address } from '../../lib/wire/uri.js';

describe('NBD URIs', () => {
  const cases: [Address, string, boolean, string][] = [
    [{ host: '127.0.0.1', port: 10809 }, '', false, 'nbd://127.0.0.1'],
    [{ host: 'localhost', port: 1 }, '', false, 'nbd://localhost:1'],
    [{ host: '::1', port: 10809 }, '', false, 'nbd://[::1]'],
    [{ host: '::1', port: 65535 }, 'disk', false, 'nbd://[::1]:65535/disk'],
    [{ host: 'h', port: 10809 }, '/disk', false, 'nbd://h/%2Fdisk'],
    [{ host: 'h', port: 10809 }, 'a b?#%ü', false, 'nbd://h/a%20b%3F%23%25%C3%BC'],
    [{ host: 'h', port: 10809 }, 'disk', true, 'nbds://h/disk'],
    [{ path: '/run/nbd.sock' }, '', false, 'nbd+unix:///?socket=/run/nbd.sock'],
    [{ path: '/a b/&' }, 'x', false, 'nbd+unix:///x?socket=/a%20b/%26'],
    [{ path: '\0name' }, '', false, 'nbd+unix:///?socket=%00name'],
    [{ path: '/s' }, '', true, 'nbds+unix:///?socket=/s'],
  ];
  for (const [address, name, tls, uri] of cases) {
    test(uri, () => {
      assert.equal(formatUri(address, name, tls), uri);
    });
  }

  test('give back every name and every path', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    // RFC 3986 has no way to write these two as a path.
    const names = text.filter((name) => name !== '.' && name !== '..');
    fc.assert(
      fc.property(names, text, (name, path) => {
        const tcp = new URL(formatUri({ host: '127.0.0.1', port: 12_345 }, name));
        assert.equal(decodeURIComponent(tcp.pathname.slice(1)), name);
        assert.equal(tcp.port, '12345');
        const unix = new URL(formatUri({ path: `/${path}` }, name));
        assert.equal(decodeURIComponent(unix.pathname.slice(1)), name);
        assert.equal(unix.searchParams.get('socket'), `/${path}`);
      }),
    );
  });
});
