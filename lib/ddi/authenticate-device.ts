import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { addDevices } from '../fleet/change-queries.ts';
import { NewDevice } from '../fleet/new-device.ts';
import type { Authenticate, Authenticated } from '../http/authenticate.ts';
import { deviceScope } from '../http/route.ts';
import { type ControllerId, parseControllerId } from './controller-id.ts';
import { isTokenOf, parseCredentials } from './device-token.ts';
import { findIotDevice, type IotDevice } from './iot-device-queries.ts';

/** A device that has proven who it is, with what one statement finds out about it. */
export interface CallingDevice extends Authenticated, IotDevice {}

export interface DeviceAccess {
  /** Every path begins with one of these, in upper or lower case: stock clients have `DEFAULT` or `default` built in. */
  tenants: readonly string[];
  /** SHA-256 of the token of trusted gateways, who speak for every device; null: there are none. */
  gatewayTokenSha256: Buffer | null;
  /** Whether a gateway may register devices that nobody has registered, by speaking for them. */
  selfRegistration: boolean;
}

const scopes: ReadonlySet<string> = new Set([deviceScope]);

/**
 * Finds the device that a path names, if the token proves that it calls. Every refusal reads the same, so that callers learn neither which
 * devices exist nor which part of their request was wrong.
 *
 * @throws `auth.device_refused`
 */
export const createAuthenticateDevice = ({
  db,
  now,
  access,
}: {
  db: Db;
  now: Clock;
  access: DeviceAccess;
}): Authenticate<CallingDevice> => {
  const tenants = new Set(access.tenants.map((tenant) => tenant.toLowerCase()));
  return async (authorization, path = {}) => {
    const credentials = parseCredentials(authorization);
    const id = parseControllerId(path['controllerId'] ?? '');
    if (!credentials || !id || !tenants.has(path['tenant']?.toLowerCase() ?? '')) throw refused();
    const isGateway = credentials.scheme === 'GatewayToken';
    // A gateway's token can be checked without the database, because it says nothing about the device.
    if (isGateway && !(access.gatewayTokenSha256 && isTokenOf(credentials.token, access.gatewayTokenSha256))) throw refused();
    let found = await findIotDevice(db, id);
    if (!found && isGateway && access.selfRegistration) {
      await registerItself(db, id, now());
      found = await findIotDevice(db, id);
    }
    if (!found) throw refused();
    const { device, token_sha256 } = found;
    if (!isGateway && !(token_sha256 && isTokenOf(credentials.token, token_sha256))) throw refused();
    return { ...device, scopes };
  };
};

const registerItself = async (db: Db, { kind, external_id }: ControllerId, now: Date): Promise<void> => {
  await addDevices(db, [NewDevice.parse({ kind, external_id, channel: 'iot' })], now);
};

const refused = () => new DomainError('auth.device_refused', 'No such device is known here by this token');
