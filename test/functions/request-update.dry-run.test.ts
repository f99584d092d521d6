import { describe, expect, it } from 'vitest';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { createAssemblyService } from '../support/assembly-service.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime } from '../support/fixtures.ts';
import { createIdentity } from '../support/http.ts';
import { createUpdateApi, type ProblemBody } from '../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const api = await createUpdateApi(db, identity);

interface DryRunBody {
  eligible: number;
  parts: { changes: object[] }[];
  reasons: { reason: string; count: number; devices: { external_id: string; other_update_id: number | null }[] }[];
}
interface PageBody {
  items: { external_id: string }[];
  next_cursor: string | null;
}

const updates = async () => (await db.selectFrom('updates').select(db.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).n;

describe('POST /v1/updates with dry_run', () => {
  it('200: of a package says what would change of each of its parts, on the devices that would be updated', async () => {
    const assemblies = createAssemblyService(db);
    const [mcu, gsm] = [await assemblies.givenPart('vega_mcu'), await assemblies.givenPart('vega_gsm')];
    const newerGsm = await assemblies.givenPart('vega_gsm');
    const { firmware } = await assemblies.givenPackage({ parts: [mcu, gsm] });
    const external_ids = await givenDevices(db, 4, { kind: 'cabinet' });
    const [a = '', b = '', c = ''] = external_ids;
    const says = (external_id: string, hardware_type: string, version: string) =>
      confirmation({ kind: 'cabinet', external_id, hardware_type, version });
    await confirmUpdate({ db, now: () => startOfTime }, [
      ...[says(a, 'vega_gsm', newerGsm.version), says(b, 'vega_gsm', newerGsm.version), says(c, 'vega_gsm', 'hand made')],
      ...[says(a, 'vega_mcu', mcu.version)],
    ]);
    const targets = { kind: 'cabinet', external_ids: [...external_ids, 'nobody'] };
    const answer = await api.create<DryRunBody>({ firmware_id: firmware.id, targets, dry_run: true });
    expect(answer).toMatchObject({ statusCode: 200, body: { eligible: 4 } });
    expect(answer.body.parts).toEqual([
      {
        ...{ firmware_id: mcu.id, hardware_type: 'vega_mcu', version: mcu.version, version_num: mcu.version_num },
        changes: [
          { change: 'UNKNOWN', from_version: null, from_version_num: null, count: 3 },
          { change: 'NONE', from_version: mcu.version, from_version_num: mcu.version_num, count: 1 },
        ],
      },
      {
        ...{ firmware_id: gsm.id, hardware_type: 'vega_gsm', version: gsm.version, version_num: gsm.version_num },
        changes: [
          { change: 'DOWNGRADE', from_version: newerGsm.version, from_version_num: newerGsm.version_num, count: 2 },
          { change: 'UNKNOWN', from_version: 'hand made', from_version_num: null, count: 1 },
          { change: 'UNKNOWN', from_version: null, from_version_num: null, count: 1 },
        ],
      },
    ]);
    const nobody = await api.create<DryRunBody>({
      firmware_id: firmware.id,
      targets: { ...targets, external_ids: ['nobody'] },
      dry_run: true,
    });
    expect(nobody.body.parts.map(({ changes }) => changes)).toEqual([[], []]);
  });

  it('200: answers who would be updated and why others would not, and starts nothing', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 150);
    const before = await updates();
    const answer = await api.create<DryRunBody>({
      firmware_id: firmware.id,
      targets: { external_ids: [...external_ids, 'nobody'] },
      dry_run: true,
    });
    expect(answer).toMatchObject({
      statusCode: 200,
      body: {
        eligible: 150,
        reasons: [
          { reason: 'ELIGIBLE', count: 150 },
          { reason: 'UNKNOWN_DEVICE', count: 1, devices: [{ external_id: 'nobody', other_update_id: null }] },
        ],
      },
    });
    expect(answer.body.reasons[0]?.devices).toHaveLength(100);
    expect(await updates()).toBe(before);
    expect(api.deps.advances.sent).toBe(0);
  });

  it('200: with nobody eligible answers the reasons as well', async () => {
    const firmware = await givenFirmware(db);
    const { statusCode, body } = await api.create<DryRunBody>({
      firmware_id: firmware.id,
      targets: { external_ids: ['nobody'] },
      dry_run: true,
    });
    expect({ statusCode, eligible: body.eligible }).toEqual({ statusCode: 200, eligible: 0 });
  });

  it('200: pages through the devices of one reason', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 5);
    const request = { firmware_id: firmware.id, targets: { external_ids } };
    const first = await api.create<PageBody>({ ...request, dry_run: { reason: 'ELIGIBLE', limit: 3 } });
    expect(first.body.items).toHaveLength(3);
    const second = await api.create<PageBody>({ ...request, dry_run: { reason: 'ELIGIBLE', limit: 3, cursor: first.body.next_cursor } });
    expect([...first.body.items, ...second.body.items].map(({ external_id }) => external_id)).toEqual([...external_ids].sort());
    expect(second.body.next_cursor).toBeNull();
  });

  it('400: names a wrong reason, limit or cursor', async () => {
    const firmware = await givenFirmware(db);
    const request = { firmware_id: firmware.id, targets: { external_ids: await givenDevices(db, 1) } };
    for (const dry_run of [{ reason: 'LUCKY' }, { reason: 'ELIGIBLE', limit: 0 }, { reason: 'ELIGIBLE', cursor: 'x' }, 'yes']) {
      const { statusCode, body } = await api.create<ProblemBody>({ ...request, dry_run });
      expect({ statusCode, errors: body.errors?.length }).toEqual({ statusCode: 400, errors: 1 });
    }
  });

  it('422: of a firmware that does not exist', async () => {
    expect(await api.create<ProblemBody>({ firmware_id: 999_999, targets: { external_ids: ['a'] }, dry_run: true })).toMatchObject({
      statusCode: 422,
      body: { code: 'firmware.not_available', errors: [{ path: 'firmware_id' }] },
    });
  });

  it('401 and 403: needs a token with updates:write', async () => {
    const firmware = await givenFirmware(db);
    const request = { firmware_id: firmware.id, targets: { external_ids: ['a'] }, dry_run: true };
    expect(await api.create<ProblemBody>(request, { token: '' })).toMatchObject({ statusCode: 401 });
    expect(await api.create<ProblemBody>(request, { token: await identity.token({ scopes: ['read'] }) })).toMatchObject({
      statusCode: 403,
    });
  });
});
