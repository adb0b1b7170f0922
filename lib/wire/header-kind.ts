/** Which headers a connection speaks, as negotiated in the handshake. */
export const HeaderKind = { simple: 0, structured: 1, extended: 2 } as const;
export type HeaderKind = (typeof HeaderKind)[keyof typeof HeaderKind];
