import { signPost } from './aws-signature.ts';
import { DomainError } from './errors.ts';

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
/** Both attempts together: who waits for a database connection waits for this as well (G6: 3 s). */
const timeoutMilliseconds = 1_500;

const arnForm = /^arn:aws[\w-]*:secretsmanager:([\w-]+):/;

/**
 * A setting that is a secret: its value, as on a laptop, or the ARN of a secret of Secrets Manager which has the value, so that the
 * function's environment shows nothing. Of a JSON document, the form in which Amazon RDS and its rotation keep passwords, it is `field`.
 */
export const createSecret = (setting: string, { field = 'password', fetch = globalThis.fetch, now = Date.now } = {}): Secret => {
  const region = arnForm.exec(setting)?.[1];
  if (!region) return { read: async () => setting, refresh: async () => setting };

  let current: Promise<string> | undefined;
  let readAt = 0;
  const readAgain = () => {
    readAt = now();
    const reading = getSecretValue({ arn: setting, region, fetch }).then((text) => toValue(text, field));
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

const parseSecret = (text: string) => parseQuietly<Record<string, unknown>>(text, 'The secret begins as JSON does, and is none');

const parseAnswer = (text: string) =>
  parseQuietly<{ SecretString?: string; __type?: string }>(text, 'Secrets Manager answered something that is not JSON');

/** Without a cause: `JSON.parse` quotes what it could not read. */
const parseQuietly = <T>(text: string, message: string): T => {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new SecretUnavailable(message);
  }
};

/**
 * Not by the SDK: its client would add 130 KiB to each of the functions that use no other AWS service. Lambda gives a function's
 * credentials by these variables, and replaces an environment before they expire.
 */
const getSecretValue = async ({ arn, region, fetch }: { arn: string; region: string; fetch: typeof globalThis.fetch }): Promise<string> => {
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN, AWS_ENDPOINT_URL } = process.env;
  const url = new URL(AWS_ENDPOINT_URL ?? `https://secretsmanager.${region}.amazonaws.com`);
  const body = JSON.stringify({ SecretId: arn });
  const ask = async (): Promise<Response> => {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.GetSecretValue' };
    const credentials = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY, sessionToken: AWS_SESSION_TOKEN };
    return fetch(url, {
      method: 'POST',
      headers: signPost({ host: url.host, service: 'secretsmanager', region, body, headers }, credentials, new Date()),
      body,
      signal: AbortSignal.timeout(timeoutMilliseconds / 2),
    });
  };
  try {
    let response = await ask().catch(ask);
    if (response.status >= 500 || response.status === 429) response = await ask();
    const answer = parseAnswer(await response.text());
    if (!response.ok || answer.SecretString === undefined) {
      throw new SecretUnavailable(`Secrets Manager answered ${response.status} ${answer.__type ?? ''}`);
    }
    return answer.SecretString;
  } catch (error) {
    if (error instanceof SecretUnavailable) throw error;
    throw new SecretUnavailable('Secrets Manager does not answer', { cause: error });
  }
};
