/** A simulation is played by one seed in `npm test`, and by so many in `.ci/run` and the soak (SOAK=true). */
export const seeds = (count: number): number[] => (process.env['SOAK'] === 'true' ? Array.from({ length: count }, (_, n) => n + 1) : [1]);
