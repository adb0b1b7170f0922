/** A value, or a promise of it. A value that is available at once needs no promise. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * True for any object with a `then`: a promise need not be of the built-in
 * class. Backends may be written in JavaScript, so a result may be anything.
 */
export function isPromise<T>(result: MaybePromise<T>): result is Promise<T> {
  return typeof result === 'object' && result !== null && 'then' in result;
}
