import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { type ControllerId, formatControllerId } from './controller-id.ts';
import { createToken, hashToken } from './device-token.ts';
import { findDevice, storeFirstTokens, storeToken } from './iot-device-queries.ts';

export interface TokenRequest extends ControllerId {
  created_by: string;
}

/**
 * A new token for a device that polls; the one before is worth nothing from then on. Only its hash is stored: it is shown this once.
 *
 * @throws `device.not_found`, `device.not_iot` for a device that is reached through scooters-backend.
 */
export async function issueDeviceToken(
  { db, now }: { db: Db; now: Clock },
  { kind, external_id, created_by }: TokenRequest,
): Promise<{ token: string }> {
  const token = createToken();
  const isStored = await storeToken(db, { kind, external_id, token_sha256: hashToken(token), created_by, now: now() });
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

/** A first token for each of the devices that polls and has none. Who loses the answer has new ones made one by one. */
export async function issueFirstTokens(
  { db, now }: { db: Db; now: Clock },
  devices: readonly ControllerId[],
  created_by: string,
): Promise<IssuedToken[]> {
  const made = devices.map(({ kind, external_id }) => ({ kind, external_id, token: createToken() }));
  const stored = await storeFirstTokens(
    db,
    made.map(({ token, ...device }) => ({ ...device, token_sha256: hashToken(token) })),
    created_by,
    now(),
  );
  const isStored = new Set(stored.map(formatControllerId));
  return made.filter((device) => isStored.has(formatControllerId(device)));
}
