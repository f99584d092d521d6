import { beforeEach, describe, expect, it } from 'vitest';
import type { Confirmation } from '../../../lib/report/confirmation.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation } from '../../support/fixtures.ts';
import { createUpdateService, type UpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

/** One device that was asked at 8:00:00, and whose update tries again. */
const givenAsked = async (number_of_retries: number) => {
  const given = await service.givenSent({ retry: { number_of_retries } });
  const [external_id = ''] = given.external_ids;
  const execution_id = given.executions[0]?.id ?? 0;
  const stored = async () => (await service.executions(given.update.id))[0];
  const failure = (more: Partial<Confirmation> = {}) =>
    confirmation({ external_id, version: '0.9', status: 'FAILED', occurred_dt: service.clock.now(), ...more });
  /** The wait is over: the command is sent again. */
  const askAgain = async () => {
    service.clock.advance(70);
    await service.advance(given.message);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
  };
  return { ...given, external_id, execution_id, stored, failure, askAgain };
};

describe('a failure that is told four times', () => {
  it.each(['its execution', 'its execution and command', 'nothing'])(
    'naming %s uses up one retry, while the next try waits',
    async (named) => {
      const { execution_id, stored, failure } = await givenAsked(2);
      service.clock.advance(10);
      const report = failure({
        execution_id: named === 'nothing' ? undefined : execution_id,
        attempt: named.endsWith('command') ? 1 : undefined,
      });
      expect(await service.confirm(report)).toMatchObject([{ outcome: 'stored', execution: { status: 'IN_PROGRESS' } }]);
      const waiting = await stored();
      expect(waiting).toMatchObject({ status: 'IN_PROGRESS', phase: 'waiting', reason: 'RETRY: DEVICE_FAILED', retries: 1, attempt: 2 });
      for (let i = 0; i < 3; i += 1) {
        service.clock.advance(1);
        expect(await service.confirm(report)).toMatchObject([{ outcome: 'unchanged', execution: { status: 'IN_PROGRESS' } }]);
      }
      expect(await stored()).toEqual(waiting);
    },
  );

  it('in one call uses up one retry', async () => {
    const { stored, failure } = await givenAsked(2);
    service.clock.advance(10);
    const report = failure();
    const outcomes = await service.confirm(report, report, report, report);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['stored', 'unchanged', 'unchanged', 'unchanged']);
    expect(await stored()).toMatchObject({ phase: 'waiting', retries: 1 });
  });
});

describe('a failure of the first try that comes late', () => {
  it.each([
    ['as it was', {}],
    ['with the command that it is about', { attempt: 1 }],
    ['without its execution', { execution_id: undefined }],
  ])('does not end the second try: told %s', async (_, more) => {
    const { external_id, execution_id, firmware, stored, failure, askAgain } = await givenAsked(1);
    service.clock.advance(10);
    const report = failure({ execution_id });
    await service.confirm(report);
    await askAgain();
    const asked = await stored();
    expect(asked).toMatchObject({ status: 'IN_PROGRESS', phase: 'asked', attempt: 2, retries: 1 });
    service.clock.advance(5);
    expect(await service.confirm({ ...report, ...more })).toMatchObject([{ outcome: 'unchanged', execution: { status: 'IN_PROGRESS' } }]);
    expect(await stored()).toEqual(asked);
    service.clock.advance(20);
    const success = confirmation({ external_id, version: firmware.version, occurred_dt: service.clock.now(), execution_id });
    expect(await service.confirm(success)).toMatchObject([{ outcome: 'stored', execution: { status: 'SUCCEEDED' } }]);
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED', late_success_dt: null });
  });

  it.each(['REJECTED', 'SUCCEEDED'] as const)('nor does %s of another version', async (status) => {
    const { execution_id, stored, failure, askAgain } = await givenAsked(1);
    service.clock.advance(10);
    const report = failure({ execution_id });
    await service.confirm(report);
    await askAgain();
    expect(await service.confirm({ ...report, status })).toMatchObject([{ execution: { status: 'IN_PROGRESS' } }]);
    expect(await stored()).toMatchObject({ phase: 'asked', retries: 1 });
  });

  it.each([2, undefined])(
    'is one of the second try when it says so, or is later than its command: it ends (attempt %s)',
    async (attempt) => {
      const { execution_id, stored, failure, askAgain } = await givenAsked(1);
      service.clock.advance(10);
      await service.confirm(failure({ execution_id }));
      await askAgain();
      service.clock.advance(5);
      const occurred_dt = attempt ? new Date(0) : service.clock.now();
      expect(await service.confirm(failure({ execution_id, occurred_dt, attempt }))).toMatchObject([{ execution: { status: 'FAILED' } }]);
      expect(await stored()).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED', attempt: 2, retries: 1 });
    },
  );
});

it('a failure that is followed by proof in one call is no retry', async () => {
  const { external_id, execution_id, firmware, stored, failure } = await givenAsked(1);
  service.clock.advance(10);
  const failed = failure({ execution_id });
  service.clock.advance(10);
  const success = confirmation({ external_id, version: firmware.version, occurred_dt: service.clock.now(), execution_id });
  expect(await service.confirm(success, failed)).toMatchObject([
    { execution: { status: 'SUCCEEDED' } },
    { execution: { status: 'IN_PROGRESS' } },
  ]);
  expect(await stored()).toMatchObject({ status: 'SUCCEEDED', attempt: 1, retries: 0 });
});
