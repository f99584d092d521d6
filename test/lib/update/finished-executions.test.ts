import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { BackendRefusal, BackendUnavailable } from '../../../lib/ports/backend.ts';
import { UnderWay } from '../../../lib/walk.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation } from '../../support/fixtures.ts';
import { createRandom, createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();

/** Written by hand: where an execution may be after it was seen in a status. */
const mayBecome: Record<string, readonly string[]> = {
  QUEUED: ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'REJECTED'],
  IN_PROGRESS: ['IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'REJECTED'],
};

it('executions only move forward and finished ones never change, whatever happens in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = createRandom(seed);
      const service = createUpdateService(db);
      const { deps, clock } = service;
      const { update, firmware, external_ids, message } = await service.given({ devices: 6, rollout: { maximum_per_minute: 60 } });
      // Every message that was ever sent may come again at any time.
      const advances: unknown[] = [message];
      const dispatches: unknown[] = [];
      deps.backend.answer = ({ execution_id }) =>
        random.pick([
          { execution_id, outcome: 'accepted' },
          { execution_id, outcome: 'rejected', reason: 'no' },
          { execution_id, outcome: 'deferred', reason: 'busy', retry_after_seconds: 3 },
          { execution_id: 2_000_000_000, outcome: 'accepted' },
        ]);
      const report = () =>
        service.confirm(
          ...Array.from({ length: 3 }, () =>
            confirmation({
              external_id: random.pick(external_ids),
              version: random.pick([firmware.version, firmware.version, 'other']),
              status: random.pick(['IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'REJECTED']),
              occurred_dt: addSeconds(clock.now(), random.between(-60, 10)),
              execution_id: random.chance(0.3) ? before.at(0)?.id : undefined,
            }),
          ),
        );
      const dispatch = async () => {
        if (dispatches.length === 0) return;
        deps.backend.failure = random.pick([
          undefined,
          undefined,
          new BackendUnavailable('down'),
          new BackendRefusal('no'),
          new Error('crash'),
        ]);
        deps.backend.during = async () => {
          if (random.chance(0.5)) await report();
        };
        await service.dispatch(random.pick(dispatches)).catch((error: unknown) => {
          if (!(error instanceof UnderWay) && error !== deps.backend.failure) throw error;
        });
      };
      const advance = () => service.advance(random.pick(advances));

      let before = await service.executions(update.id);
      for (let step = 0; step < 40; step += 1) {
        const event = random.pick([advance, dispatch, dispatch, report]);
        // Now and then two of them at one moment.
        await Promise.all(random.chance(0.2) ? [event(), random.pick([advance, dispatch, report])()] : [event()]);
        advances.push(...deps.advances.take());
        dispatches.push(...deps.dispatches.take());
        clock.advance(random.between(0, 20));

        const now = await service.executions(update.id);
        expect(now.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
        for (const [i, old] of before.entries()) {
          const allowed = mayBecome[old.status];
          if (allowed) expect(allowed).toContain(now[i]?.status);
          // A success that is seen late is noted beside the end, which stays.
          else expect({ ...now[i], late_success_dt: old.late_success_dt }).toEqual(old);
        }
        before = now;
      }
    }),
    { numRuns: 15, endOnFailure: true },
  );
}, 60_000);
