/** Simulations are played in full by `.ci/run` and the soak (SOAK=true). `npm test` plays smaller ones, which show the same guarantees. */
export const inFull = process.env['SOAK'] === 'true';

/** A simulation is played by one seed in `npm test`, and by so many in full. */
export const seeds = (count: number): number[] => (inFull ? Array.from({ length: count }, (_, n) => n + 1) : [1]);
