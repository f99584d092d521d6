/** The function's own timeout: if a call began longer ago than this, nobody works on its chunk any more. */
export const leaseSeconds = 29;
