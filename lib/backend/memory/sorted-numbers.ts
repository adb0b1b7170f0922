/** Numbers of a bucket; twice as many are split into two. */
const bucketSize = 512;

/**
 * A set of numbers in ascending order, in which the next one from anywhere on
 * is found by halving. Buckets of bounded size follow each other, so adding to
 * a million numbers moves a few hundred of them.
 */
export class SortedNumbers {
  /** None is empty. */
  private readonly buckets: number[][] = [];
  /** Where `next` has found the last one. */
  private lastBucket = 0;
  private lastAt = 0;

  add(value: number): void {
    // Past the last one, it goes to the end of that.
    const index = Math.min(this.bucketOf(value), this.buckets.length - 1);
    const bucket = this.buckets[index];
    if (bucket === undefined) {
      this.buckets.push([value]);
      return;
    }
    const at = firstFrom(bucket, value);
    if (bucket[at] === value) return;
    bucket.splice(at, 0, value);
    if (bucket.length < 2 * bucketSize) return;
    this.buckets.splice(index + 1, 0, bucket.splice(bucketSize));
  }

  delete(value: number): void {
    const index = this.bucketOf(value);
    const bucket = this.buckets[index];
    if (bucket === undefined) return;
    const at = firstFrom(bucket, value);
    if (bucket[at] !== value) return;
    bucket.splice(at, 1);
    if (bucket.length === 0) this.buckets.splice(index, 1);
  }

  clear(): void {
    this.buckets.length = 0;
  }

  /** The smallest of at least `value`. */
  next(value: number): number | undefined {
    return this.nextNear(value) ?? this.nextSought(value);
  }

  /**
   * The same where it is the one found last or follows it, as it does for who
   * goes through all of them. Nothing is taken for granted: numbers may have
   * come or gone since, but a smaller one right before it leaves no other.
   */
  private nextNear(value: number): number | undefined {
    const bucket = this.buckets[this.lastBucket];
    if (bucket === undefined) return undefined;
    const at = this.lastAt;
    const found = bucket[at] ?? -Infinity;
    if (found >= value) {
      const before = at > 0 ? bucket[at - 1] : undefined;
      return before !== undefined && before < value ? found : undefined;
    }
    const following = bucket[at + 1] ?? -Infinity;
    if (following < value) return undefined;
    this.lastAt = at + 1;
    return following;
  }

  private nextSought(value: number): number | undefined {
    this.lastBucket = this.bucketOf(value);
    const bucket = this.buckets[this.lastBucket];
    if (bucket === undefined) return undefined;
    this.lastAt = firstFrom(bucket, value);
    return bucket[this.lastAt];
  }

  /** The first bucket whose last number is at least `value`; behind the last one where there is none. */
  private bucketOf(value: number): number {
    let low = 0;
    let high = this.buckets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.buckets[middle]?.at(-1) ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The index of the first that is at least `value`. */
function firstFrom(numbers: readonly number[], value: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
