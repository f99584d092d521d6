import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AwsCredentials, credentialsOfRole, formatQuery, percentEncode, sha256, signLink, signRequest } from '../aws-signature.ts';

export interface S3Options {
  bucket: string;
  /** Default: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, as on a laptop, or else S3 of the function's region. */
  endpoint?: string;
  /** Default: the function's. */
  region?: string;
  /** Default: those of the function's role. */
  credentials?: AwsCredentials;
  /** How long an answer may take to begin. Default: 5 s. */
  answerMilliseconds?: number;
  /** How long bytes may stop coming or going. Default: 5 s. */
  idleMilliseconds?: number;
}

/** For who reads and writes whole files at once: a reader that waits for the writer must not be taken for one that is stuck. */
export const transferTimeouts = { answerMilliseconds: 30_000, idleMilliseconds: 60_000 };

export interface S3Request {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Of an object; without it the request is about the bucket. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array | string;
}

export interface LinkRequest {
  method: 'GET' | 'HEAD' | 'PUT';
  key: string;
  query?: Record<string, string>;
  /** That whoever uses the link has to send exactly so; names in lower case. */
  headers?: Record<string, string>;
  seconds: number;
}

/** What S3 answered instead of what was asked of it. */
export class S3Refusal extends Error {
  override readonly name = 'S3Refusal';
  readonly status: number;
  /** For example `NoSuchKey`; empty for a HEAD, whose answer has no body to tell it. */
  readonly code: string;
  constructor(status: number, body: string) {
    const code = /<Code>(\w+)<\/Code>/.exec(body)?.[1] ?? '';
    super(`S3 answered ${status} ${code}`.trimEnd());
    this.status = status;
    this.code = code;
  }
}

export interface S3Client {
  /**
   * Up to three attempts, of a request that may be repeated.
   *
   * @param signal ends it, also between attempts and in the middle of one.
   * @returns an answer with 2xx, whose bytes have to be read or destroyed.
   * @throws {@link S3Refusal}, or what broke the connection.
   */
  send(request: S3Request, signal?: AbortSignal): Promise<IncomingMessage>;
  /** Nothing is asked of S3 for it. It dies with the session of the role that signed it, if not before. */
  signLink(request: LinkRequest): string;
}

const attempts = 3;
/** Before the second attempt, at most; twice as long before the third. */
const pauseMilliseconds = 100;
const emptyHash = sha256('');

/**
 * S3, as far as this service needs it. Not by the SDK, whose client would be two thirds of a bundle and of the time that it takes to load
 * (docs/decisions.md). The bucket is a part of the host, as Amazon wants it, or of the path, as every other server understands it.
 */
export const createS3Client = (options: S3Options): S3Client => {
  const { bucket, credentials, answerMilliseconds = 5_000, idleMilliseconds = 5_000 } = options;
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION = '' } = process.env;
  const { region = AWS_REGION } = options;
  const endpoint = options.endpoint ?? AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL;
  const base = new URL(endpoint ?? `https://${bucket}.s3.${region}.${region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'}`);
  const prefix = endpoint === undefined ? '' : `/${bucket}`;
  const pathOf = (key?: string) => (key === undefined ? prefix || '/' : `${prefix}/${key.split('/').map(percentEncode).join('/')}`);
  const scope = { service: 's3', region };
  const { request: sendHttp, Agent: HttpAgent } = process.getBuiltinModule(base.protocol === 'https:' ? 'node:https' : 'node:http');
  const agent: Agent = new HttpAgent({ keepAlive: true });

  const attempt = (
    { method, key, query = {}, headers = {}, body }: S3Request,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> => {
    const payloadHash = body === undefined ? emptyHash : sha256(body);
    const toSign = {
      method,
      host: base.host,
      path: pathOf(key),
      query,
      payloadHash,
      headers: { ...headers, 'x-amz-content-sha256': payloadHash },
    };
    const signed = signRequest(toSign, scope, credentials ?? credentialsOfRole(), new Date());
    const search = formatQuery(query);
    const sent = sendHttp({
      ...{ protocol: base.protocol, hostname: base.hostname, port: base.port, method, agent, signal },
      path: toSign.path + (search && `?${search}`),
      headers: { ...signed, ...(method !== 'GET' && method !== 'HEAD' && { 'content-length': Buffer.byteLength(body ?? '') }) },
      timeout: idleMilliseconds,
    });
    return answerTo(sent, body, answerMilliseconds);
  };

  return {
    async send(request, signal) {
      for (let number = 1; ; number += 1) {
        try {
          const answer = await attempt(request, signal);
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) return answer;
          throw new S3Refusal(status, await text(answer));
        } catch (error) {
          if (number === attempts || signal?.aborted || !mayPass(error)) throw error;
          await sleep(Math.random() * pauseMilliseconds * 2 ** (number - 1), undefined, { signal });
        }
      }
    },

    signLink({ method, key, query = {}, headers = {}, seconds }) {
      const toSign = { method, host: base.host, path: pathOf(key), query, headers };
      const search = signLink(toSign, scope, credentials ?? credentialsOfRole(), { now: new Date(), seconds });
      return `${base.origin}${toSign.path}?${search}`;
    },
  };
};

const answerTo = (sent: ClientRequest, body: S3Request['body'], answerMilliseconds: number): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => sent.destroy(new Error(`S3 did not answer within ${answerMilliseconds} ms`)), answerMilliseconds);
    sent.on('response', resolve);
    sent.on('error', reject);
    // The bytes of an answer stop coming as well as those of a request stop going.
    sent.on('timeout', () => sent.destroy(new Error('S3 sends or takes no bytes any more')));
    sent.on('response', () => clearTimeout(timer));
    sent.on('close', () => clearTimeout(timer));
    sent.end(body);
  });

/** S3 that is overloaded or broken, and a connection that is: another attempt may do. */
const mayPass = (error: unknown): boolean => !(error instanceof S3Refusal) || error.status >= 500 || error.status === 429;
