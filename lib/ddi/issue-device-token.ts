import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { type ControllerId, formatControllerId } from './controller-id.ts';
import { createToken, hashToken } from './device-token.ts';
import { findDevice, storeFirstTokens, storeToken } from './iot-device-queries.ts';

/**
 * Makes a new token for a device that polls; the old one is no longer valid. Only the token's hash is stored, so it is shown only this once.
 *
 * @throws `device.not_found`, `device.not_iot` for a device that is reached through scooters-backend.
 */
export async function issueDeviceToken(
  { db, now }: { db: Db; now: Clock },
  { kind, external_id }: ControllerId,
  actor: Actor,
): Promise<{ token: string }> {
  const token = createToken();
  const isStored = await db.transaction().execute(async (trx) => {
    const created = { token_sha256: hashToken(token), created_by: actor.subject, now: now() };
    const stored = await storeToken(trx, { kind, external_id, ...created });
    const line = { action: 'issue_token', resource: 'device', resource_id: formatDevice({ kind, external_id }), outcome: {} } as const;
    if (stored) await writeAuditLine(trx, actor, line, created.now);
    return stored;
  });
  if (isStored) return { token };
  if (!(await findDevice(db, kind, external_id))) throw new DomainError('device.not_found', `There is no ${kind} ${external_id}`);
  throw new DomainError(
    'device.not_iot',
    `${kind} ${external_id} is reached through scooters-backend: only devices that poll have a token`,
  );
}

export interface IssuedToken extends ControllerId {
  token: string;
}

/** Makes a first token for each of the devices that polls and has none. If this answer gets lost, new tokens are made one by one. */
export async function issueFirstTokens(
  { db, now }: { db: Db; now: Clock },
  devices: readonly ControllerId[],
  actor: Actor,
): Promise<IssuedToken[]> {
  const made = devices.map(({ kind, external_id }) => ({ kind, external_id, token: createToken() }));
  const hashed = made.map(({ token, ...device }) => ({ ...device, token_sha256: hashToken(token) }));
  const stored = await db.transaction().execute(async (trx) => {
    const issued = await storeFirstTokens(trx, hashed, actor.subject, now());
    const outcome = { devices: issued.map(formatDevice) };
    const line = { action: 'issue_token', resource: 'device', resource_id: null, outcome } as const;
    if (issued.length > 0) await writeAuditLine(trx, actor, line, now());
    return issued;
  });
  const isStored = new Set(stored.map(formatControllerId));
  return made.filter((device) => isStored.has(formatControllerId(device)));
}

/** As lines of the audit name a device. */
const formatDevice = ({ kind, external_id }: ControllerId): string => `${kind}/${external_id}`;
