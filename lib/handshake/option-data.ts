import { OptionError } from '../wire/constants.js';
import { viewOf } from '../wire/view.js';
import { readString } from './strings.js';

/** An option is answered with an error, and option haggling continues. It stays inside the handshake. */
export class OptionRefusal extends Error {
  /** The NBD_REP_ERR_* that is sent. */
  readonly reply: number;

  constructor(reply: number, message: string) {
    super(message);
    this.reply = reply;
  }
}

export function invalidOption(message: string): OptionRefusal {
  return new OptionRefusal(OptionError.invalid, message);
}

/** The data of an option, read in order. All methods throw `OptionRefusal` for malformed data. */
export class OptionData {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  get remainingBytes(): number {
    return this.bytes.byteLength - this.at;
  }

  uint16(): number {
    return this.view.getUint16(this.advance(2));
  }

  uint32(): number {
    return this.view.getUint32(this.advance(4));
  }

  /** A string of `byteLength` bytes. @throws NbdError `NBDCORK_BAD_STRING`. */
  string(byteLength: number, what = 'name'): string {
    const start = this.advance(byteLength);
    return readString(this.bytes.subarray(start, this.at), what);
  }

  /** All data must have been read. */
  end(): void {
    const { remainingBytes } = this;
    if (remainingBytes > 0) throw invalidOption(`${remainingBytes} unexpected bytes of data.`);
  }

  /** Where the next `count` bytes begin. */
  private advance(count: number): number {
    const { at, remainingBytes } = this;
    if (count > remainingBytes) {
      throw invalidOption(
        `the data ends too early: ${count} bytes expected, ${remainingBytes} left.`,
      );
    }
    this.at = at + count;
    return at;
  }
}
