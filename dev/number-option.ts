/**
 * A number on a command line: digits, and at most one decimal point. Undefined for other texts that JavaScript would accept as a number:
 * `1e3`, `0x50`, spaces, an empty text.
 */
export const numberOf = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined);
