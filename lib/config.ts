import * as z from 'zod/mini';

/** What `loadConfig` answers for these settings. */
export type Config<Settings extends z.core.$ZodShape> = z.infer<z.ZodMiniObject<Settings>>;

/**
 * Reads a function's settings at cold start, asking only for what the function uses.
 *
 * @throws an error that names every bad variable and prints no value.
 */
export const loadConfig = <Settings extends z.core.$ZodShape>(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>>,
): Config<Settings> => {
  const result = z.object(settings).safeParse(env);
  if (result.success) return result.data;
  const names = new Set(result.error.issues.map((issue) => `${issue.path.join('.')} (${issue.code})`));
  throw new Error(`Configuration is wrong: ${[...names].join(', ')}`);
};

const text = z.string().check(z.minLength(1));

export const DatabaseConfig = {
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** Used when the address has no password: the password or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
  DATABASE_PASSWORD: z._default(z.string(), ''),
  /** true behind a pooler such as RDS Proxy, which refuses settings at the start of a connection, and sets the time limits itself. */
  DATABASE_IS_PROXIED: z._default(z.enum(['true', 'false']), 'false'),
  /** false: behind a pooler that lends a connection without the statements that were prepared on it (docs/decisions/prepared-statements.md). */
  DATABASE_PREPARED_STATEMENTS: z._default(z.enum(['true', 'false']), 'true'),
  DATABASE_MAX_CONNECTIONS: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(50)), 1),
};

/**
 * Ids of executions are below 2^31. A new release of migrate first runs with the settings of the release before, which may lack this one:
 * then no id is raised.
 */
export const MigrateConfig = {
  FIRST_EXECUTION_ID: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(2_000_000_000)), 1),
};

export const AuthConfig = {
  JWT_ISSUER: text,
  JWT_AUDIENCE: text,
  JWKS_URL: z.url({ protocol: /^https?$/ }),
  /** For how long the keys fetched last are used while the identity provider does not answer (lib/http/key-set.ts). */
  JWKS_MAXIMUM_AGE_SECONDS: z.optional(z.coerce.number().check(z.int(), z.minimum(600), z.maximum(2_592_000))),
};

export const ApiConfig = { ...DatabaseConfig, ...AuthConfig };

/** The web console: as which program it logs people in at the issuer, with which scopes, and which other origins it may talk to. */
export const ConsoleConfig = {
  CONSOLE_CLIENT_ID: z._default(z.string(), ''),
  CONSOLE_SCOPES: z._default(z.string(), ''),
  CONSOLE_CONNECTS_TO: z._default(z.string(), ''),
};

export const StorageConfig = { FIRMWARE_BUCKET: text };

export const AdvancesConfig = { ADVANCES_QUEUE_URL: z.url() };

export const DispatchesConfig = { DISPATCHES_QUEUE_URL: z.url() };

export const VerificationsConfig = { VERIFICATIONS_QUEUE_URL: z.url() };
export const ObservationsConfig = { OBSERVATIONS_QUEUE_URL: z.url() };

/** Empty: no events are told. */
export const EventsConfig = { EVENT_BUS_NAME: z._default(z.string().check(z.maxLength(1_600)), '') };

/** How many months (of 31 days) of history are kept; 0: all of it (lib/retention/README.md). */
export const RetentionConfig = { HISTORY_MONTHS: z._default(z.coerce.number().check(z.int(), z.minimum(0), z.maximum(1_200)), 24) };

/** From how many devices on, exclusive, somebody else has to approve an update, and each author key; empty: nobody has to (lib/update/plan/request-update.ts). */
export const ApprovalConfig = {
  APPROVAL_ABOVE: z._default(
    z.pipe(
      z.string().check(z.regex(/^\d{0,8}$/)),
      z.transform((text) => (text === '' ? null : Number(text))),
    ),
    null,
  ),
};

/** BACKEND_TOKEN is the token or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
export const BackendConfig = { BACKEND_URL: z.url({ protocol: /^https?$/ }), BACKEND_TOKEN: text };

/** How often devices poll (lib/ddi/poll-interval.ts). */
export const PollConfig = {
  DDI_POLL_SECONDS: z.coerce.number().check(z.int(), z.minimum(1), z.maximum(60_000)),
  DDI_WAITING_POLL_SECONDS: z.coerce.number().check(z.int(), z.minimum(1), z.maximum(60_000)),
};

/** Names separated by commas. None may be the first part of a path of the service's own API. */
const Tenants = z.pipe(
  text.check(z.regex(/^(?!(v1|docs|console)(,|$))[\w-]+(,(?!(v1|docs|console)(,|$))[\w-]+)*$/i)),
  z.transform((names) => names.split(',')),
);

/** Which polling devices may call (lib/ddi/authenticate-device.ts). */
export const DeviceAccessConfig = {
  DDI_TENANT: Tenants,
  // Empty: off.
  DDI_GATEWAY_TOKEN_SHA256: z.string().check(z.regex(/^([0-9a-f]{64})?$/)),
  DDI_SELF_REGISTRATION: z.enum(['true', 'false']),
};

export const RegistrationsConfig = { REGISTRATIONS_QUEUE_URL: z.url() };
export const AssembliesConfig = { ASSEMBLIES_QUEUE_URL: z.url() };

/** A JWK set or, in a cloud, the ARN of the secret that holds it (lib/firmware/manifest.ts). */
export const ManifestSigningConfig = { MANIFEST_SIGNING_KEYS: text };
/** PEM. The first certificate is the present one; former and coming ones follow. */
export const PackageCertificatesConfig = { PACKAGE_CERTIFICATES: text };
/** PEM, of the first certificate; in a cloud, the ARN of the secret that holds it. */
export const PackageSigningConfig = { ...PackageCertificatesConfig, PACKAGE_SIGNING_KEY: text };
