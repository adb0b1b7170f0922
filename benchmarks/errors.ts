/** `NBDCORK_BAD_SELECTION`: the words select nothing that can be measured. `NBDCORK_BENCH`: anything else. */
export type BenchmarkErrorCode = 'NBDCORK_BAD_SELECTION' | 'NBDCORK_BENCH';

/** What stops the benchmark, or one candidate of it. */
export class BenchmarkError extends Error {
  override readonly name = 'BenchmarkError';
  readonly code: BenchmarkErrorCode;

  constructor(code: BenchmarkErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
