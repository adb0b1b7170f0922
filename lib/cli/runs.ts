/** Of the benchmark: one run is thrown away, and fewer than three others say next to nothing. */
export const runsMin = 4;
