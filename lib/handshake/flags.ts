import type { Backend, BlockSize } from '../backend/backend.js';
import type { Export } from '../backend/export.js';
import { TransmissionFlag } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';

/** With SEND_DF, "the server MUST support unfragmented reads" of up to so many bytes. */
const wholeReadBytesMin = 65_536;

/**
 * "Transmission flags": exactly what the backend supports within the server's limit.
 * `hasContexts`: the client has selected contexts for this export.
 */
export function transmissionFlags(
  entry: Export,
  headers: HeaderKind,
  hasContexts: boolean,
  maximumBlockSize: number,
): number {
  const { backend } = entry;
  const readsWhole = maximumBlockSize >= wholeReadBytesMin;
  const readOnly = entry.readOnly === true || backend.write === undefined;
  let flags: number = TransmissionFlag.hasFlags;
  if (readOnly) flags |= TransmissionFlag.readOnly;
  if (backend.rotational === true) flags |= TransmissionFlag.rotational;
  // "The cache it uses is shared among all connections": not if each has its own backend.
  if (backend.multiConn === true && entry.perConnection !== true)
    flags |= TransmissionFlag.canMultiConn;
  if (backend.cache !== undefined) flags |= TransmissionFlag.sendCache;
  if (backend.flush !== undefined) flags |= TransmissionFlag.sendFlush;
  // "MUST leave this flag clear if neither structured replies nor extended
  // headers have been negotiated."
  if (headers !== HeaderKind.simple && readsWhole) flags |= TransmissionFlag.sendDf;
  // "SHOULD NOT advertise this bit [...] if the client does not negotiate metacontexts".
  if (headers === HeaderKind.extended && hasContexts) flags |= TransmissionFlag.blockStatusPayload;
  if (!readOnly) flags |= writingFlags(backend);
  if (!readOnly && entry.resizable === true && backend.resize !== undefined) {
    flags |= TransmissionFlag.sendResize;
  }
  return flags;
}

function writingFlags(backend: Backend): number {
  let flags = 0;
  if (backend.fua === true || backend.flush !== undefined) flags |= TransmissionFlag.sendFua;
  if (backend.trim !== undefined) flags |= TransmissionFlag.sendTrim;
  if (backend.writeZeroes !== undefined) {
    flags |= TransmissionFlag.sendWriteZeroes | TransmissionFlag.sendFastZero;
  }
  return flags;
}

/**
 * The block sizes of a backend, or the defaults, within the server's limit. The maximum
 * "MUST be at least as large as the preferred block size", whatever the limit
 * ("Size constraints").
 */
export function blockSizeOf(backend: Backend, requestBytesMax: number): BlockSize {
  const { minimum, preferred, maximum } = backend.blockSize ?? {
    minimum: 1,
    preferred: 4096,
    maximum: requestBytesMax,
  };
  return { minimum, preferred, maximum: Math.max(preferred, Math.min(maximum, requestBytesMax)) };
}
