/** "TLS support"; mostly of servers that require it. NBD_OPT_STARTTLS. */
import assert from 'node:assert/strict';
import { goData, optionBytes } from '../../support/byte-client.js';
import { info, opt, rep } from '../../support/numbers.js';
import { contextData } from '../../support/status.js';
import { duringNegotiation, type Case } from '../case.js';
import { exportName, NotOffered } from '../client.js';
import { stillAnswers } from './requests.js';

const disk = 'tls';

export const tls: readonly Case[] = [
  ...Object.entries({
    GO: [opt.go, goData(exportName)],
    INFO: [opt.info, goData(exportName)],
    LIST: [opt.list, Buffer.alloc(0)],
    STRUCTURED_REPLY: [opt.structuredReply, Buffer.alloc(0)],
    'an unknown option': [99, Buffer.alloc(0)],
  } as const).map(([name, [type, data]]): Case => ({
    section: 'FORCEDTLS mode',
    level: 'MUST',
    title: `${name} before TLS is ERR_TLS_REQD, and negotiation continues`,
    disk,
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(type, data), rep.errTlsReqd);
      await client.startTls();
    }),
  })),
  {
    section: 'FORCEDTLS mode',
    level: 'MUST',
    title: 'EXPORT_NAME before TLS closes the connection',
    disk,
    check: duringNegotiation(async (client) => {
      client.send(optionBytes(opt.exportName, Buffer.from(exportName)));
      await client.expectClosed();
    }),
  },
  {
    section: 'FORCEDTLS mode',
    level: 'MUST',
    title: 'ABORT before TLS is acknowledged, or as any other option ERR_TLS_REQD',
    disk,
    check: duringNegotiation(async (client) => {
      const final = await client.finalReply(opt.abort);
      assert.ok(final === rep.ack || final === rep.errTlsReqd, `0x${final.toString(16)}`);
    }),
  },
  {
    section: 'NBD_OPT_STARTTLS',
    level: 'SHOULD',
    title: 'STARTTLS with data is ERR_INVALID',
    disk,
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.startTls, Buffer.alloc(8)), rep.errInvalid);
    }),
  },
  {
    section: 'NBD_OPT_STARTTLS',
    level: 'MUST',
    title: 'after STARTTLS options and requests use TLS',
    disk,
    check: duringNegotiation(async (client) => {
      await client.startTls();
      await client.describe(opt.go, [info.blockSize]);
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_OPT_STARTTLS',
    level: 'MUST',
    title: 'STARTTLS within TLS is ERR_INVALID, and negotiation continues',
    disk,
    check: duringNegotiation(async (client) => {
      await client.startTls();
      assert.equal(await client.finalReply(opt.startTls), rep.errInvalid);
      await client.describe(opt.go);
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_OPT_STARTTLS',
    level: 'MUST',
    title: 'STARTTLS resets structured replies',
    disk: 'optionalTls',
    check: duringNegotiation(async (client) => {
      const final = await client.finalReply(opt.structuredReply);
      if (final !== rep.ack) throw new NotOffered('no structured replies, or none before TLS');
      await client.startTls();
      await client.describe(opt.go);
      // The client takes nothing but simple replies here.
      await stillAnswers(client);
    }),
  },
  ...Object.entries({
    LIST_META_CONTEXT: opt.listMetaContext,
    SET_META_CONTEXT: opt.setMetaContext,
  }).map(([name, type]): Case => ({
    section: 'SELECTIVETLS mode',
    level: 'MUST',
    title: `${name} before TLS is never ERR_TLS_REQD`,
    disk: 'optionalTls',
    check: duringNegotiation(async (client) => {
      const agreed = await client.finalReply(opt.structuredReply);
      if (agreed !== rep.ack) throw new NotOffered('no structured replies, or none before TLS');
      for (const asked of [exportName, 'nothing']) {
        const final = await client.finalReply(type, contextData(asked, []));
        if (final === rep.errUnsup) throw new NotOffered('no metadata contexts');
        assert.notEqual(final, rep.errTlsReqd);
      }
    }),
  })),
];
