/** Gets the result of a `Pending`. Must not throw. */
export interface ResultReceiver<T> {
  resolved(value: T): void;
  rejected(error: unknown): void;
}

const missing = Symbol('no value');

/**
 * A promise that costs a single object. Code that knows the class is called with
 * the result, as soon as it is there. For all other code it is a promise like any
 * other, except that a rejection which nothing handles is not reported.
 */
export class Pending<T> implements Promise<T> {
  private settled = false;
  private value: T | typeof missing = missing;
  private error: unknown;
  private receiver: ResultReceiver<T> | undefined;
  private promise: Promise<T> | undefined;

  get [Symbol.toStringTag](): string {
    return Pending.name;
  }

  /** Calls `receiver` once: now, if there is a result already. */
  deliverTo(receiver: ResultReceiver<T>): void {
    if (this.receiver !== undefined) {
      this.toPromise().then(
        (value) => {
          receiver.resolved(value);
        },
        (error: unknown) => {
          receiver.rejected(error);
        },
      );
      return;
    }
    this.receiver = receiver;
    if (this.settled) this.deliver(receiver);
  }

  then<R1 = T, R2 = never>(
    onfulfilled?: ((value: T) => R1 | PromiseLike<R1>) | null,
    onrejected?: ((reason: unknown) => R2 | PromiseLike<R2>) | null,
  ): Promise<R1 | R2> {
    return this.toPromise().then(onfulfilled, onrejected);
  }

  catch<R = never>(onrejected?: ((reason: unknown) => R | PromiseLike<R>) | null): Promise<T | R> {
    return this.toPromise().catch(onrejected);
  }

  finally(onfinally?: (() => void) | null): Promise<T> {
    return this.toPromise().finally(onfinally);
  }

  protected resolve(value: T): void {
    if (this.settled) return;
    this.settled = true;
    this.value = value;
    if (this.receiver !== undefined) this.deliver(this.receiver);
  }

  protected reject(error: unknown): void {
    if (this.settled) return;
    this.settled = true;
    this.error = error;
    if (this.receiver !== undefined) this.deliver(this.receiver);
  }

  private deliver(receiver: ResultReceiver<T>): void {
    const { value } = this;
    if (value === missing) receiver.rejected(this.error);
    else receiver.resolved(value);
  }

  private toPromise(): Promise<T> {
    this.promise ??= new Promise((resolved, rejected) => {
      if (this.receiver !== undefined) throw new Error('the result was delivered elsewhere');
      this.deliverTo({ resolved, rejected });
    });
    return this.promise;
  }
}
