/** The bytes of requests and replies, without anything around them. */
import {
  extendedReplyBytes,
  simpleReplyBytes,
  structuredReplyBytes,
  writeExtendedReply,
  writeSimpleReply,
  writeStructuredReply,
} from '../../lib/wire/reply.js';
import { extendedRequestHeaderBytes, Request, requestHeaderBytes } from '../../lib/wire/request.js';
import { ChunkFlag, ChunkType, magic } from '../../lib/wire/constants.js';
import type { MicroSubject } from './measure.js';

const headers = 64;

/** A buffer of headers that lie one behind the other, as a read brings them. */
function requests(bytes: number, number: number): DataView {
  const view = new DataView(new ArrayBuffer(headers * bytes));
  for (let at = 0; at < view.byteLength; at += bytes) {
    view.setUint32(at, number);
    view.setUint32(at + 12, at);
    view.setUint32(at + 20, at * 4096);
    view.setUint32(at + bytes - 4, 4096);
  }
  return view;
}

export function codecSubjects(): MicroSubject[] {
  const request = new Request();
  const plain = requests(requestHeaderBytes, magic.request);
  const extended = requests(extendedRequestHeaderBytes, magic.extendedRequest);
  const view = new DataView(new ArrayBuffer(headers * extendedReplyBytes));
  // A loop each: one that all share has to call what V8 could otherwise inline.
  return [
    {
      name: 'read a request',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          request.read(plain, (index % headers) * requestHeaderBytes);
        }
      },
    },
    {
      name: 'read an extended request',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          request.readExtended(extended, (index % headers) * extendedRequestHeaderBytes);
        }
      },
    },
    {
      name: 'write a simple reply',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          writeSimpleReply(view, (index % headers) * simpleReplyBytes, request, 0);
        }
      },
    },
    {
      name: 'write a structured reply',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          const at = (index % headers) * structuredReplyBytes;
          writeStructuredReply(view, at, request, ChunkFlag.done, ChunkType.offsetData, 4104);
        }
      },
    },
    {
      name: 'write an extended reply',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          const at = (index % headers) * extendedReplyBytes;
          writeExtendedReply(view, at, request, ChunkFlag.done, ChunkType.offsetData, 4104);
        }
      },
    },
  ];
}
