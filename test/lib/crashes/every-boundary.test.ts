import { afterAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../lib/db/database.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createMortalService, type Life, passStatement } from '../../support/mortal-service.ts';
import { inFull } from '../../support/seeds.ts';
import { scenarios } from './scenarios.ts';

/**
 * A function may die at any moment. Each scenario is played once undisturbed, and then once for every outside call that any of its functions
 * made: the function dies before that call or, after its last one, before it can answer. The result must be the same each time.
 */

const { url } = await createTestDatabase();
const db = createDatabase({ url, maxConnections: 5, onStatement: passStatement });
afterAll(() => db.destroy());

/** If two runs of a function made the same outside calls in the same order, it is enough to let one of them die. */
const kindsOf = (lives: readonly Life[]): { life: number; kind: Life }[] => {
  const seen = new Set<string>();
  return lives.flatMap((kind, life) => {
    const key = JSON.stringify(kind);
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ life, kind }];
  });
};

/** `npm run test:soak` tries every boundary, `.ci/run` every seventh, and `npm test` every fourteenth. */
const stride = process.env['BOUNDARIES'] === 'all' ? 1 : inFull ? 7 : 14;
const longStride = stride === 1 ? 1 : 3 * stride;
/** For a busy machine. */
const longestMilliseconds = stride === 1 ? 900_000 : 300_000;

const totals = new Map<string, { boundaries: number; settled: number }>();
afterAll(() => {
  console.log(
    ['function, boundaries, settled', ...[...totals].map(([name, { boundaries, settled }]) => `${name}, ${boundaries}, ${settled}`)].join(
      '\n',
    ),
  );
});

describe('whatever dies, wherever', () => {
  it.each(scenarios)('ends as if nothing had been: $name', { timeout: longestMilliseconds }, async ({ play, isLong }) => {
    const service = createMortalService(db);
    await service.begin();
    const expected = await play(service, db);
    const undisturbed = service.lived.map(({ function: name, calls }) => ({ function: name, calls: [...calls] }));

    const differences: unknown[] = [];
    let boundary = 0;
    for (const { life, kind } of kindsOf(undisturbed)) {
      for (let afterCalls = 0; afterCalls <= kind.calls.length; afterCalls += 1) {
        boundary += 1;
        // The first life is what a long one is about.
        if (boundary % (isLong && life > 0 ? longStride : stride) !== 0) continue;
        const total = totals.get(kind.function) ?? { boundaries: 0, settled: 0 };
        totals.set(kind.function, total);
        total.boundaries += 1;
        const dying = createMortalService(db);
        await dying.begin({ life, afterCalls });
        const outcome = await play(dying, db).catch((error: unknown) => ({ error: String(error) }));
        if (JSON.stringify(outcome) === JSON.stringify(expected)) total.settled += 1;
        else
          differences.push({
            function: kind.function,
            life,
            diedBefore: kind.calls[afterCalls] ?? 'its answer',
            after: kind.calls[afterCalls - 1],
            outcome,
          });
      }
    }
    expect({ expected, differences }).toEqual({ expected, differences: [] });
  });
});
