/**
 * A number on a command line, written in digits as people write it, with a point at most. Undefined for everything else that JavaScript
 * would take for a number: `1e3`, `0x50`, spaces, nothing at all.
 */
export const numberOf = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined);
