/** The kinds of request and reply headers, one of which is negotiated. */
export const HeaderKind = { simple: 0, structured: 1, extended: 2 } as const;
export type HeaderKind = (typeof HeaderKind)[keyof typeof HeaderKind];
