import { codeOf, messageOf, NbdError } from '../../errors.js';

/** An error that another thread can make again: cloning would lose its `code`. */
export interface PortableError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
  readonly cause: PortableError | undefined;
}

/** Causes of causes that are kept. */
const causesMax = 4;

export function portableError(error: unknown, causes = causesMax): PortableError {
  const isError = error instanceof Error;
  const cause = isError && causes > 0 ? error.cause : undefined;
  return {
    name: isError ? error.name : 'Error',
    message: messageOf(error),
    code: codeOf(error),
    stack: isError ? error.stack : undefined,
    cause: cause === undefined ? undefined : portableError(cause, causes - 1),
  };
}

export function errorFrom({ name, message, code, stack, cause }: PortableError): Error {
  const reason = cause === undefined ? undefined : errorFrom(cause);
  const error =
    name === 'NbdError' && code !== undefined
      ? new NbdError(code, message, reason)
      : Object.assign(
          new Error(message, reason === undefined ? undefined : { cause: reason }),
          { name },
          code !== undefined && { code },
        );
  // It was thrown there.
  if (stack !== undefined) error.stack = stack;
  return error;
}
