/** Vectors to be timed, by number of pieces. */
export const pieceCounts = [2, 16, 128, 1024] as const;
/** Small, so that calls are timed rather than copies. */
export const pieceBytes = 16;
/** What a batch may send at most; every message costs the kernel some hundred bytes besides. */
export const bytesMax = 32 * 1024;
