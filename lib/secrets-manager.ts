import { setTimeout } from 'node:timers/promises';
import { type AwsCredentials, credentialsOfRole } from './aws-credentials.ts';
import { signPost } from './aws-signature.ts';
import { createHttpClient, type HttpAnswer } from './http-client.ts';

export interface SecretsManagerOptions {
  region: string;
  endpoint: string;
  /** Of all attempts together no more than so many times `timeoutMilliseconds`, and the pauses between them. */
  attempts: number;
  timeoutMilliseconds: number;
  /** Default: those of the function's role. */
  credentials?: AwsCredentials;
}

/** @returns what Secrets Manager answered, read from its JSON. @throws {@link SecretsManagerRefusal}, or the error of the last attempt. */
export type CallSecretsManager = <Answer>(action: string, request: object) => Promise<Answer>;

/** What Secrets Manager answered instead of what was asked of it. */
export class SecretsManagerRefusal extends Error {
  override readonly name = 'SecretsManagerRefusal';
  readonly status: number;
  /** For example `ResourceNotFoundException`; empty where the answer names none. */
  readonly code: string;
  constructor(action: string, { status, text }: HttpAnswer) {
    const code = /"__type"\s*:\s*"(?:[^"#]*#)?(\w+)"/.exec(text)?.[1] ?? '';
    super(`${action} was answered ${status} ${code}`.trimEnd());
    this.status = status;
    this.code = code;
  }
}

/** Before the second attempt; twice as long before each further one. */
const pauseMilliseconds = 50;

/**
 * Secrets Manager, the one service of AWS that is not asked by the SDK: every function asks it for the password of the database before its
 * first answer, and would load a client of 100 KiB for this one request (docs/decisions/sdk-on-demand.md).
 */
export const createSecretsManager = (options: SecretsManagerOptions): CallSecretsManager => {
  const { endpoint, region, attempts, timeoutMilliseconds } = options;
  const url = new URL('/', endpoint);
  const send = createHttpClient(url);

  return async <Answer>(action: string, request: object) => {
    const body = JSON.stringify(request);
    const unsigned = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `secretsmanager.${action}` };
    for (let attempt = 1; ; attempt += 1) {
      try {
        // Signed anew each time: a signature is good for some minutes only.
        const credentials = options.credentials ?? credentialsOfRole();
        const headers = signPost({ service: 'secretsmanager', region, host: url.host, body, headers: unsigned }, credentials, new Date());
        const answer = await send({ method: 'POST', headers, body, timeoutMilliseconds });
        if (answer.status === 200) return JSON.parse(answer.text) as Answer;
        throw new SecretsManagerRefusal(action, answer);
      } catch (error) {
        if (attempt === attempts || !mayPass(error)) throw error;
        await setTimeout(Math.random() * pauseMilliseconds * 2 ** attempt);
      }
    }
  };
};

/** A service that is overloaded, a connection that broke, an answer that was cut off: another attempt may do. */
const mayPass = (error: unknown): boolean =>
  !(error instanceof SecretsManagerRefusal) || error.status >= 500 || error.status === 429 || /Throttl|TooManyRequests/.test(error.code);
