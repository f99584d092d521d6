/** Time enters through this, so that tests can say what time it is. */
export type Clock = () => Date;

export const systemClock: Clock = () => new Date();

/** To the millisecond: 1.017 s are 1,017 ms, and not the 1,016 that binary fractions make of them. */
export const addSeconds = (date: Date, seconds: number): Date => new Date(Math.round(date.getTime() + seconds * 1000));

export const secondsBetween = (from: Date, to: Date): number => (to.getTime() - from.getTime()) / 1000;
