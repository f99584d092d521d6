import * as z from 'zod';

/**
 * Reads a function's settings at cold start, asking only for what the function uses.
 *
 * @throws an error that names every bad variable and prints no value.
 */
export const loadConfig = <S extends z.ZodType>(schema: S, env: Readonly<Record<string, string | undefined>>): z.infer<S> => {
  const result = schema.safeParse(env);
  if (result.success) return result.data;
  const names = new Set(result.error.issues.map((issue) => `${issue.path.join('.')} (${issue.code})`));
  throw new Error(`Configuration is wrong: ${[...names].join(', ')}`);
};

const text = z.string().min(1);

export const DatabaseConfig = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** Where the address has none: the password or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
  DATABASE_PASSWORD: z.string().default(''),
  /** Behind a pooler such as RDS Proxy, which knows no settings at the start of a connection, and sets the time limits itself. */
  DATABASE_IS_PROXIED: z.enum(['true', 'false']).default('false'),
  DATABASE_MAX_CONNECTIONS: z.coerce.number().int().min(1).max(50).default(1),
});

/**
 * Ids of executions are below 2^31. A new release of migrate runs once with the settings of the one before, which may not know this one:
 * nothing is raised then.
 */
export const MigrateConfig = z.object({ FIRST_EXECUTION_ID: z.coerce.number().int().min(1).max(2_000_000_000).default(1) });

export const AuthConfig = z.object({ JWT_ISSUER: text, JWT_AUDIENCE: text, JWKS_URL: z.url({ protocol: /^https?$/ }) });

export const ApiConfig = DatabaseConfig.extend(AuthConfig.shape);

export const StorageConfig = z.object({ FIRMWARE_BUCKET: text });

export const AdvancesConfig = z.object({ ADVANCES_QUEUE_URL: z.url() });

export const DispatchesConfig = z.object({ DISPATCHES_QUEUE_URL: z.url() });

export const VerificationsConfig = z.object({ VERIFICATIONS_QUEUE_URL: z.url() });
export const ObservationsConfig = z.object({ OBSERVATIONS_QUEUE_URL: z.url() });

/** Empty: no events are told. */
export const EventsConfig = z.object({ EVENT_BUS_NAME: z.string().max(1_600).default('') });

/** BACKEND_TOKEN is the token or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
export const BackendConfig = z.object({ BACKEND_URL: z.url({ protocol: /^https?$/ }), BACKEND_TOKEN: text });

/** How often devices that poll do so (lib/ddi/poll-interval.ts). */
export const PollConfig = z.object({
  DDI_POLL_SECONDS: z.coerce.number().int().min(1).max(60_000),
  DDI_WAITING_POLL_SECONDS: z.coerce.number().int().min(1).max(60_000),
});

/** Beside the paths of this service's own API, which begin otherwise. */
const Tenant = text.regex(/^(?!v1$|docs$)[\w-]+$/);

/** Which devices that poll are let in (lib/ddi/authenticate-device.ts). */
export const DeviceAccessConfig = z.object({
  DDI_TENANT: Tenant,
  // Empty: off.
  DDI_GATEWAY_TOKEN_SHA256: z.string().regex(/^([0-9a-f]{64})?$/),
  DDI_SELF_REGISTRATION: z.enum(['true', 'false']),
});

export const AssembliesConfig = z.object({ ASSEMBLIES_QUEUE_URL: z.url() });

/** A JWK set or, in a cloud, the ARN of the secret that holds it (lib/firmware/manifest.ts). */
export const ManifestSigningConfig = z.object({ MANIFEST_SIGNING_KEYS: text });
/** PEM. The first certificate is the present one; former and coming ones follow. */
export const PackageCertificatesConfig = z.object({ PACKAGE_CERTIFICATES: text });
/** PEM, of the first certificate; in a cloud, the ARN of the secret that holds it. */
export const PackageSigningConfig = PackageCertificatesConfig.extend({ PACKAGE_SIGNING_KEY: text });
