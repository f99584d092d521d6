/** All code gets the time through this, so that tests can set it. */
export type Clock = () => Date;

export const systemClock: Clock = () => new Date();

/** Rounds to whole milliseconds: with binary fractions 1.017 s would otherwise become 1,016 ms. */
export const addSeconds = (date: Date, seconds: number): Date => new Date(Math.round(date.getTime() + seconds * 1000));

export const secondsBetween = (from: Date, to: Date): number => (to.getTime() - from.getTime()) / 1000;
