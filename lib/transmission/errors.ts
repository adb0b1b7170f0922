import { codeOf } from '../errors.js';
import { ErrorNumber } from '../wire/constants.js';

const numbers: ReadonlyMap<string, number> = new Map([
  // What was thrown is never a success, whatever it calls itself.
  ...Object.entries(ErrorNumber).filter(([, value]) => value !== ErrorNumber.ok),
  // "It also SHOULD map the EDQUOT and EFBIG errors to NBD_ENOSPC."
  ['EDQUOT', ErrorNumber.ENOSPC],
  ['EFBIG', ErrorNumber.ENOSPC],
  ['EACCES', ErrorNumber.EPERM],
  ['EROFS', ErrorNumber.EPERM],
  ['EOPNOTSUPP', ErrorNumber.ENOTSUP],
]);

/**
 * The protocol's number for what a backend threw; EIO for what it does not know.
 * "The server SHOULD NOT return NBD_ENOTSUP except as documented in response to
 * NBD_CMD_WRITE_ZEROES when NBD_CMD_FLAG_FAST_ZERO is supported", so it is
 * EINVAL to requests that are not `fast`.
 */
export function errorNumberOf(error: unknown, fast: boolean): number {
  const number = numbers.get(codeOf(error) ?? '') ?? ErrorNumber.EIO;
  return number === ErrorNumber.ENOTSUP && !fast ? ErrorNumber.EINVAL : number;
}
