/** Numbers in a new bucket. One that has grown to twice as many is split in two. */
const bucketSize = 512;

/**
 * A set of numbers in ascending order, with a binary search for the next one
 * from any value on. They are kept in buckets of bounded size, so adding to a
 * million numbers moves a few hundred of them.
 */
export class SortedNumbers {
  /** In ascending order. No bucket is empty. */
  private readonly buckets: number[][] = [];
  /** Where `next` found its last result. */
  private lastBucket = 0;
  private lastAt = 0;

  add(value: number): void {
    // A value past the last bucket is added to the end of that.
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

  /** The smallest number of at least `value`. */
  next(value: number): number | undefined {
    return this.nextNear(value) ?? this.searchNext(value);
  }

  /**
   * The result where it is the last one or follows it, as in an iteration.
   * Numbers may have been added or deleted since, so both neighbors are
   * compared: a number is the result where the one before it is below `value`.
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

  private searchNext(value: number): number | undefined {
    this.lastBucket = this.bucketOf(value);
    const bucket = this.buckets[this.lastBucket];
    if (bucket === undefined) return undefined;
    this.lastAt = firstFrom(bucket, value);
    return bucket[this.lastAt];
  }

  /** The index of the first bucket whose last number is at least `value`, or the count of buckets. */
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

/** The index of the first number of at least `value`. */
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
