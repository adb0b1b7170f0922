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
    const bucket = this.buckets[this.bucketOf(value)];
    return bucket?.[firstFrom(bucket, value)];
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
