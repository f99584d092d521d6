/** When devices that poll are offered their work, and for how long. It depends on how often they poll (`offerTimesOf` in lib/ddi/poll-interval.ts). */
export interface OfferTimes {
  /** A device that has not polled for so long gets no offer: it may be switched off, and must not hold a place that others could use. */
  aliveSeconds: number;
  /** An offer that nobody has taken for so long is withdrawn; the execution waits again, behind the others. */
  standSeconds: number;
}

export type AliveTimes = Pick<OfferTimes, 'aliveSeconds'>;

/** For devices that poll every five minutes. */
export const defaultOfferTimes: OfferTimes = { aliveSeconds: 1_050, standSeconds: 760 };
