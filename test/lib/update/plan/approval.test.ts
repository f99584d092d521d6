import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createAuthorKeys } from '../../../../functions/author-keys/handler.ts';
import { createHandler as createControl } from '../../../../functions/control-update/handler.ts';
import { createHandler as createRequest } from '../../../../functions/request-update/handler.ts';
import { editFirmware } from '../../../../lib/firmware/edit-firmware.ts';
import { signFirmware } from '../../../../lib/registration/sign-firmware.ts';
import { createAuthorKey, fileOf, release } from '../../../support/authors.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, givenDevices, givenFirmware, silentLog } from '../../../support/fixtures.ts';
import { call, createIdentity } from '../../../support/http.ts';
import { createUpdateApi } from '../../../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const [requester, second, third, reader] = await Promise.all([
  identity.token({ subject: 'requester' }),
  identity.token({ subject: 'second' }),
  identity.token({ subject: 'third' }),
  identity.token({ subject: 'second', scopes: ['read', 'updates:write'] }),
]);

const setup = async ({ approvalAbove = 1 as number | null } = {}) => {
  const api = await createUpdateApi(db, identity);
  const deps = { ...api.deps, authenticate: identity.authenticate, log: silentLog, approvalAbove };
  const [request, control] = [createRequest(deps), createControl(deps)];
  const firmware = await givenFirmware(db);
  const body = (external_ids: readonly string[], more: object = {}) => ({
    firmware_id: firmware.id,
    targets: { external_ids },
    canary: null,
    ...more,
  });
  const create = async (devices: number, more: object = {}) =>
    (
      await call<{ id: number; status: string; approval: unknown; eligible: number; needs_approval: boolean }>(request, {
        ...{ method: 'POST', path: '/v1/updates', token: requester },
        body: body(await givenDevices(db, devices), more),
      })
    ).body;
  const decide = (action: 'approve' | 'reject' | 'resume' | 'cancel', id: number, token: string, remark = 'read') =>
    call<{ code: string; changed: boolean; canceled: number; update: { status: string; reason: string | null; approval: object } }>(
      control,
      {
        ...{ method: 'POST', path: `/v1/updates/{id}/${action}`, pathParameters: { id: String(id) }, token },
        body: action === 'approve' || action === 'reject' ? { remark } : {},
      },
    );
  return { ...api, firmware, create, decide };
};

const lines = (id: number) =>
  db
    .selectFrom('audit_lines')
    .select(['action', 'caller', 'outcome'])
    .where('resource', '=', 'update')
    .where('resource_id', '=', String(id))
    .orderBy('id')
    .execute();

describe('an update of more devices than need no approval', () => {
  it('waits, says so, and asks nobody, however long', async () => {
    const api = await setup();
    const update = await api.create(2);
    expect(update).toMatchObject({
      status: 'WAITING_FOR_APPROVAL',
      approval: { decision: null, decided_by: null, decided_dt: null, remark: null },
    });
    await api.run({ seconds: 86_400 });
    expect((await api.get(update.id)).body).toMatchObject({ status: 'WAITING_FOR_APPROVAL', counts: { QUEUED: 2 }, started_dt: null });
    expect(api.backend.commands).toEqual([]);
    const { body } = await api.listExecutions(update.id);
    expect(body.items.map(({ waits_for }) => waits_for)).toMatchObject([{ cause: 'APPROVAL' }, { cause: 'APPROVAL' }]);
  });

  it('goes on when somebody else approves, and shows who, when and the remark', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    expect(await api.decide('approve', id, second, 'tried on ten')).toMatchObject({
      statusCode: 200,
      body: {
        changed: true,
        update: { status: 'SCHEDULED', approval: { decision: 'APPROVED', decided_by: 'second', remark: 'tried on ten' } },
      },
    });
    await api.run();
    expect((await api.get(id)).body).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 2 } });
    expect(await lines(id)).toMatchObject([
      { action: 'request', caller: 'requester', outcome: { needs_approval: true } },
      { action: 'approve', caller: 'second', outcome: { decision: 'APPROVED', remark: 'tried on ten' } },
    ]);
  });

  it('ends when somebody else rejects it: nobody is asked, and its devices are free', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    expect(await api.decide('reject', id, second, 'not on a Friday')).toMatchObject({
      statusCode: 200,
      body: {
        changed: true,
        canceled: 2,
        update: { status: 'CANCELED', reason: 'REJECTED: not on a Friday', approval: { decision: 'REJECTED' } },
      },
    });
    await api.run();
    expect((await api.get(id)).body).toMatchObject({ status: 'CANCELED', counts: { CANCELED: 2 } });
    expect(api.backend.commands).toEqual([]);
  });

  it.each(['approve', 'reject'] as const)('403: %s by who requested it, who can cancel it', async (action) => {
    const api = await setup();
    const { id } = await api.create(2);
    expect(await api.decide(action, id, requester)).toMatchObject({ statusCode: 403, body: { code: 'approval.second_person' } });
    expect(await lines(id)).toHaveLength(1);
    expect(await api.decide('cancel', id, requester)).toMatchObject({ statusCode: 200, body: { update: { status: 'CANCELED' } } });
    expect(await api.decide('approve', id, second)).toMatchObject({ statusCode: 409, body: { code: 'update.ended' } });
  });

  it('403: without the scope updates:approve', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    expect(await api.decide('approve', id, reader)).toMatchObject({ statusCode: 403, body: { code: 'auth.insufficient_scope' } });
  });

  it('200: approved twice is approved once, by the first; 409: rejected afterwards', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    await api.decide('approve', id, second);
    expect(await api.decide('approve', id, third)).toMatchObject({
      body: { changed: false, update: { approval: { decided_by: 'second' } } },
    });
    expect(await api.decide('reject', id, third)).toMatchObject({ statusCode: 409, body: { code: 'update.not_waiting_for_approval' } });
    expect(await lines(id)).toHaveLength(2);
  });

  it('200: rejected twice is rejected once; 409: approved afterwards', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    await api.decide('reject', id, second);
    expect(await api.decide('reject', id, third)).toMatchObject({ statusCode: 200, body: { changed: false } });
    expect(await api.decide('approve', id, third)).toMatchObject({ statusCode: 409, body: { code: 'update.ended' } });
    expect(await lines(id)).toHaveLength(2);
  });

  it('422: after its firmware was withdrawn; the update is aborted by its next step', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    await editFirmware({ ...api.deps, log: silentLog }, api.firmware.id, { status: 'withdrawn', reason: 'brakes too late' }, actor);
    expect(await api.decide('approve', id, second)).toMatchObject({ statusCode: 422, body: { code: 'firmware.not_available' } });
    await api.run();
    expect((await api.get(id)).body).toMatchObject({ status: 'ABORTED', counts: { CANCELED: 2 } });
    expect(api.backend.commands).toEqual([]);
  });

  it('409: one that needs no approval', async () => {
    const api = await setup();
    const { id, status, approval } = { ...(await api.create(1)) };
    expect({ status, approval }).toEqual({ status: 'SCHEDULED', approval: null });
    expect(await api.decide('approve', id, second)).toMatchObject({ statusCode: 409, body: { code: 'update.not_waiting_for_approval' } });
  });

  it('is not let through by a resume', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    expect(await api.decide('resume', id, requester)).toMatchObject({ statusCode: 200, body: { changed: false } });
    await api.run({ seconds: 3_600 });
    expect(api.backend.commands).toEqual([]);
  });

  it('of ten who approve and ten who reject at one moment one decides, and all of the audit is one line', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    const tokens = await Promise.all(Array.from({ length: 10 }, (_, n) => identity.token({ subject: `person-${n}` })));
    const answers = await Promise.all(tokens.flatMap((token) => [api.decide('approve', id, token), api.decide('reject', id, token)]));
    expect(answers.filter(({ statusCode, body }) => statusCode === 200 && body.changed)).toHaveLength(1);
    expect(await lines(id)).toHaveLength(2);
  });

  it('approved while it is canceled: one of the two holds, and a canceled one asks nobody', async () => {
    const api = await setup();
    const { id } = await api.create(2);
    await Promise.all([api.decide('approve', id, second), api.decide('cancel', id, requester)]);
    await api.run();
    expect((await api.get(id)).body).toMatchObject({ status: 'CANCELED', counts: { CANCELED: 2 } });
    expect(api.backend.commands).toEqual([]);
  });
});

describe('a dry run', () => {
  it('says whether approval will be needed', async () => {
    const api = await setup();
    expect(await api.create(2, { dry_run: true })).toMatchObject({ eligible: 2, needs_approval: true });
    expect(await api.create(1, { dry_run: true })).toMatchObject({ eligible: 1, needs_approval: false });
  });

  it('needs none where none is asked for', async () => {
    const api = await setup({ approvalAbove: null });
    expect(await api.create(2, { dry_run: true })).toMatchObject({ needs_approval: false });
    expect(await api.create(2)).toMatchObject({ status: 'SCHEDULED', approval: null });
  });
});

describe('an author key, where approval is on', () => {
  const keysOf = (keysNeedApproval: boolean) =>
    createAuthorKeys({ db, now: () => new Date(), log: silentLog, authenticate: identity.authenticate, keysNeedApproval });
  beforeEach(async () => {
    await db.deleteFrom('author_keys').execute();
  });
  const add = async (keysNeedApproval: boolean) => {
    const key = createAuthorKey();
    const handler = keysOf(keysNeedApproval);
    const body = { owner: 'ada', public_key: key.publicKey, hardware_types: ['vega_mcu'] };
    const added = (
      await call<{ id: number; needs_approval: boolean }>(handler, { method: 'POST', path: '/v1/author-keys', token: requester, body })
    ).body;
    const act = (action: 'approve' | 'revoke', token: string) =>
      call<{ code: string; approved_by: string | null }>(handler, {
        ...{ method: 'POST', path: `/v1/author-keys/{id}/${action}`, pathParameters: { id: String(added.id) }, token },
        ...(action === 'revoke' && { body: { reason: 'lost' } }),
      });
    const bytes = Buffer.from(`signed ${added.id}`);
    const { id, version } = await givenFirmware(db, { bytes });
    const sign = async () =>
      signFirmware(
        { db, log: silentLog, now: () => new Date() },
        id,
        [await release(fileOf('vega_mcu', version, bytes), key, added.id)],
        actor,
      );
    return { added, act, sign };
  };

  it('is believed only when somebody else than who added it has approved it', async () => {
    const { added, act, sign } = await add(true);
    expect(added.needs_approval).toBe(true);
    await expect(sign()).rejects.toMatchObject({
      options: { errors: [{ path: 'signatures.0', message: 'the key of ada waits for approval' }] },
    });
    expect(await act('approve', requester)).toMatchObject({ statusCode: 403, body: { code: 'approval.second_person' } });
    expect(await act('approve', second)).toMatchObject({ statusCode: 200, body: { approved_by: 'second' } });
    expect(await act('approve', third)).toMatchObject({ statusCode: 200, body: { approved_by: 'second' } });
    await expect(sign()).resolves.toMatchObject({ author_signatures: [{ owner: 'ada' }] });
  });

  it('is revoked by one person at once, and not approved afterwards', async () => {
    const { act } = await add(true);
    expect(await act('revoke', requester)).toMatchObject({ statusCode: 200 });
    expect(await act('approve', second)).toMatchObject({ statusCode: 409, body: { code: 'author_key.revoked' } });
  });

  it('waits for nobody where approval is off', async () => {
    const { added, sign } = await add(false);
    expect(added.needs_approval).toBe(false);
    await expect(sign()).resolves.toBeDefined();
  });
});
