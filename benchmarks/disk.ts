/** The disk that every candidate serves. */
export const exportName = 'disk';

/** Extents of the disk, each of `extentBytes`, data and holes alternately. */
export const extentCount = 1000;
/** What nbdkit's memory and common file systems allocate at a time, or a multiple of that. */
export const extentBytes = 32_768;
export const diskBytes = extentCount * extentBytes;

/** Requests go to any multiple of this. */
export const blockBytes = 4096;
