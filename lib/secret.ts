import { DomainError } from './errors.ts';
import { type CallSecretsManager, createSecretsManager, SecretsManagerRefusal } from './secrets-manager.ts';

/** A text that only its user may see, and that may be rotated while this process runs. */
export interface Secret {
  /** Kept for as long as the function's environment lives. */
  read(): Promise<string>;
  /** Reads it anew, for a user whose value was refused, because it may have been rotated. Asks at most once in {@link refreshSeconds}. */
  refresh(): Promise<string>;
}

/** The secret could not be read, for now: Secrets Manager does not answer, or does not let this function have it. */
export class SecretUnavailable extends Error {
  override readonly name = 'SecretUnavailable';
}

const refreshSeconds = 1;
/** For each of two attempts. It is short because a caller that waits for a database connection waits for this, too (G6: 3 s). */
const timeoutMilliseconds = 700;

const arnForm = /^arn:aws[\w-]*:secretsmanager:([\w-]+):/;

/**
 * A setting that is a secret: its value, as on a laptop, or the ARN of a secret of Secrets Manager that holds the value, so that the function's
 * environment does not show it. If the secret is a JSON document, as Amazon RDS and its rotation write it, the value is its `field`.
 */
export const createSecret = (setting: string, { field = 'password', now = Date.now } = {}): Secret => {
  const region = arnForm.exec(setting)?.[1];
  if (!region) return { read: async () => setting, refresh: async () => setting };

  const endpoint = process.env['AWS_ENDPOINT_URL'] ?? `https://secretsmanager.${region}.amazonaws.com`;
  const call = createSecretsManager({ region, endpoint, attempts: 2, timeoutMilliseconds });
  let current: Promise<string> | undefined;
  let readAt = 0;
  const readAgain = () => {
    readAt = now();
    const reading = getSecretValue(call, setting).then((text) => toValue(text, field));
    current = reading;
    // A failure is not remembered: the next caller asks again.
    reading.catch(() => {
      if (current === reading) current = undefined;
    });
    return reading;
  };
  return {
    read: () => current ?? readAgain(),
    refresh: () => (current && now() - readAt < refreshSeconds * 1_000 ? current : readAgain()),
  };
};

/** Reads a secret that is a signing key. @throws `signing.unavailable` */
export const readSigningSecret = async (secret: Secret): Promise<string> => {
  try {
    return await secret.read();
  } catch (cause) {
    throw new DomainError('signing.unavailable', 'The signing keys cannot be read', { cause, retryAfterSeconds: 5 });
  }
};

const toValue = (text: string, field: string): string => {
  if (!text.trimStart().startsWith('{')) return text;
  const value = parseSecret(text)[field];
  if (typeof value !== 'string') throw new SecretUnavailable(`The secret has no ${field}`);
  return value;
};

/** Its error has no cause, because the error of `JSON.parse` quotes the text. */
const parseSecret = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new SecretUnavailable('The secret begins as JSON does, and is none');
  }
};

const getSecretValue = async (call: CallSecretsManager, arn: string): Promise<string> => {
  try {
    const { SecretString } = await call<{ SecretString?: string }>('GetSecretValue', { SecretId: arn });
    if (typeof SecretString !== 'string') throw new SecretUnavailable('The secret is no text');
    return SecretString;
  } catch (error) {
    if (error instanceof SecretUnavailable) throw error;
    if (error instanceof SecretsManagerRefusal) throw new SecretUnavailable(`Secrets Manager answered ${error.status} ${error.code}`);
    // Without a cause, because the error of `JSON.parse` quotes the text.
    if (error instanceof SyntaxError) throw new SecretUnavailable('Secrets Manager answered something that is not JSON');
    throw new SecretUnavailable('Secrets Manager does not answer', { cause: error });
  }
};
