import { DomainError } from './errors.ts';
import { type CallSecretsManager, createSecretsManager, SecretsManagerRefusal } from './secrets-manager.ts';

/** A text that nobody but its user may see, and that somebody may replace while we run. */
export interface Secret {
  /** Kept for as long as the function's environment lives. */
  read(): Promise<string>;
  /** What it is now, for whom it was refused to: it may have been rotated. Asked for at most once in {@link refreshSeconds}. */
  refresh(): Promise<string>;
}

/** The secret could not be read, for now: Secrets Manager does not answer, or does not let this function have it. */
export class SecretUnavailable extends Error {
  override readonly name = 'SecretUnavailable';
}

const refreshSeconds = 1;
/** Of one of two attempts: who waits for a database connection waits for this as well (G6: 3 s). */
const timeoutMilliseconds = 700;

const arnForm = /^arn:aws[\w-]*:secretsmanager:([\w-]+):/;

/**
 * A setting that is a secret: its value, as on a laptop, or the ARN of a secret of Secrets Manager which has the value, so that the
 * function's environment shows nothing. Of a JSON document, the form in which Amazon RDS and its rotation keep passwords, it is `field`.
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
    // The next one asks again.
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

/** For what is signed with. @throws `signing.unavailable` */
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

/** Without a cause: `JSON.parse` quotes what it could not read. */
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
    // Without a cause: `JSON.parse` quotes what it could not read.
    if (error instanceof SyntaxError) throw new SecretUnavailable('Secrets Manager answered something that is not JSON');
    throw new SecretUnavailable('Secrets Manager does not answer', { cause: error });
  }
};
