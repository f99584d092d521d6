import * as z from 'zod/mini';
import { HardwareTypeName, PositiveInteger, RequestedTimestamp, Timestamp } from '../firmware/firmware.ts';
import { requestedText } from '../text.ts';

/** Of a point of either curve. */
export const coordinate = z.string().check(z.regex(/^[\w-]{43}$/, 'must be 32 bytes in base64url'));

/** The public half of a key, as RFC 7517 and RFC 8037 write it. A private half is refused by name: it must never come here. */
export const AuthorPublicKey = z.discriminatedUnion('kty', [
  z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
  z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
]);
export type AuthorPublicKey = z.infer<typeof AuthorPublicKey>;

/** Which algorithm a key signs with; a signature that names another one is refused. */
export const algorithmOf = ({ kty }: AuthorPublicKey): 'EdDSA' | 'ES256' => (kty === 'OKP' ? 'EdDSA' : 'ES256');

export const Owner = requestedText(128).check(
  z.minLength(1),
  z.meta({ description: 'Whose key it is. Two keys of one owner count as one signature', example: 'ada' }),
);

const hardwareTypes = z.array(HardwareTypeName).check(z.minLength(1), z.maxLength(100), z.meta({ description: 'What it may sign' }));

export const NewAuthorKey = z.strictObject({
  owner: Owner,
  public_key: AuthorPublicKey,
  hardware_types: hardwareTypes,
  valid_from_dt: z.optional(RequestedTimestamp).check(z.meta({ description: 'Default: now' })),
  valid_until_dt: z._default(z.nullable(RequestedTimestamp), null).check(z.meta({ description: 'null: until it is revoked' })),
});
export type NewAuthorKey = z.output<typeof NewAuthorKey>;

export const AuthorKey = z
  .object({
    id: PositiveInteger,
    kid: z.string().check(z.meta({ description: 'Its thumbprint (RFC 7638), which signatures name' })),
    owner: z.string(),
    public_key: AuthorPublicKey,
    hardware_types: z.array(z.string()),
    valid_from_dt: Timestamp,
    valid_until_dt: z.nullable(Timestamp),
    needs_approval: z.boolean().check(z.meta({ description: 'Somebody else than who added it has to approve it before it is believed' })),
    approved_by: z.nullable(z.string()),
    approved_dt: z.nullable(Timestamp),
    revoked_dt: z.nullable(Timestamp),
    revoked_by: z.nullable(z.string()),
    revocation_reason: z.nullable(z.string()),
    created_by: z.string(),
    created_dt: Timestamp,
  })
  .register(z.globalRegistry, { id: 'AuthorKey' });
export type AuthorKey = z.infer<typeof AuthorKey>;

/** Why a key may not sign for a hardware type at a moment, or undefined when it may. */
export const findKeyRefusal = (key: AuthorKey, hardware_type: string, now: Date): string | undefined => {
  if (key.revoked_dt) return `the key of ${key.owner} was revoked`;
  if (key.needs_approval && !key.approved_dt) return `the key of ${key.owner} waits for approval`;
  if (key.valid_from_dt > now) return `the key of ${key.owner} is not valid yet`;
  if (key.valid_until_dt && key.valid_until_dt <= now) return `the key of ${key.owner} is not valid any more`;
  if (!key.hardware_types.includes(hardware_type)) return `${key.owner} may not sign ${hardware_type}`;
  return undefined;
};
