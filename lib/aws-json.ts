import { setTimeout } from 'node:timers/promises';
import { type AwsCredentials, credentialsOfRole, signPost } from './aws-signature.ts';
import { createHttpClient, type HttpAnswer } from './http-client.ts';

export interface AwsServiceOptions {
  /** As signatures name it, for example `sqs`. */
  service: string;
  region: string;
  endpoint: string;
  jsonVersion: '1.0' | '1.1';
  /** Of all attempts together no more than so many times `timeoutMilliseconds`, and the pauses between them. */
  attempts: number;
  timeoutMilliseconds: number;
  /** Is there more than one call in a function's run? */
  keepsConnections?: boolean;
  /** Default: those of the function's role. */
  credentials?: AwsCredentials;
}

/** @returns what the service answered, read from its JSON. @throws {@link AwsRefusal}, or the error of the last attempt. */
export type CallAws = <Answer>(target: string, request: object) => Promise<Answer>;

/** What a service answered instead of what was asked of it. */
export class AwsRefusal extends Error {
  override readonly name = 'AwsRefusal';
  readonly status: number;
  /** For example `ResourceNotFoundException`; empty where the answer names none. */
  readonly code: string;
  constructor(target: string, { status, text }: HttpAnswer) {
    const code = /"__type"\s*:\s*"(?:[^"#]*#)?(\w+)"/.exec(text)?.[1] ?? '';
    super(`${target} was answered ${status} ${code}`.trimEnd());
    this.status = status;
    this.code = code;
  }
}

/** Before the second attempt; twice as long before each further one. */
const pauseMilliseconds = 50;

/**
 * A service of AWS that speaks JSON: SQS, EventBridge, Secrets Manager. Not by the SDK: a client of it would be two thirds of the bundle of
 * each function that only sends messages, and of the time it takes to start.
 *
 * The SDK would also name the trace of the present call in what it sends. Lambda takes a function for one that calls itself without end when
 * a chain of messages with one trace has come to it sixteen times, and stops it: our walks, which are such chains, must not be traced so.
 */
export const createAwsService = (options: AwsServiceOptions): CallAws => {
  const { endpoint, jsonVersion, attempts, timeoutMilliseconds, keepsConnections = false } = options;
  const url = new URL('/', endpoint);
  const send = createHttpClient(url, { keepsConnections });

  return async <Answer>(target: string, request: object) => {
    const body = JSON.stringify(request);
    const unsigned = { 'content-type': `application/x-amz-json-${jsonVersion}`, 'x-amz-target': target };
    for (let attempt = 1; ; attempt += 1) {
      try {
        // Signed anew each time: a signature is good for some minutes only.
        const headers = signPost(
          { ...options, host: url.host, body, headers: unsigned },
          options.credentials ?? credentialsOfRole(),
          new Date(),
        );
        const answer = await send({ method: 'POST', headers, body, timeoutMilliseconds });
        if (answer.status === 200) return JSON.parse(answer.text) as Answer;
        throw new AwsRefusal(target, answer);
      } catch (error) {
        if (attempt === attempts || !mayPass(error)) throw error;
        await setTimeout(Math.random() * pauseMilliseconds * 2 ** attempt);
      }
    }
  };
};

/** A service that is overloaded, a connection that broke, an answer that was cut off: another attempt may do. */
const mayPass = (error: unknown): boolean =>
  !(error instanceof AwsRefusal) || error.status >= 500 || error.status === 429 || /Throttl|TooManyRequests/.test(error.code);
